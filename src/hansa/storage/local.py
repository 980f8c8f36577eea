"""The blob store in a directory: what is visible is whole and on disk, what comes out matches its name."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

from hansa.core.clock import Clock, SystemClock
from hansa.core.errors import BlobUnavailable, DigestMismatch, FormatError, StorageError
from hansa.core.types import BlobRef
from hansa.storage import pins, unixfs

_PINS = ".pins"
_OUTLINE = ".outline"


class LocalStore:
    """Blobs as files `ab/<digest>.<size>`, sharded by the digest's first byte, with `.pins` and `.outline` files beside them.

    A file appears by rename after an fsync, so a crash leaves at most a file in `incoming`, which `collect` sweeps. Damaged files go to
    `quarantine`. `quota` bounds the blobs' bytes in all. One process uses a directory at a time.
    """

    def __init__(self, directory: Path, clock: Clock | None = None, *, quota: int | None = None) -> None:
        self._directory = directory
        self._clock = clock or SystemClock()
        self._quota = quota
        self._lock = threading.RLock()
        with self._writing():
            for folder in ("incoming", "quarantine"):
                (directory / folder).mkdir(parents=True, exist_ok=True)
            self._used = sum(path.stat().st_size for path in self._blobs())

    async def put(self, data: bytes | memoryview) -> BlobRef:
        """Store and name the bytes; StorageError when there is no room, and then nothing is kept."""
        return await asyncio.to_thread(self._put, data)

    async def get(self, ref: BlobRef) -> bytes:
        """The whole content; BlobUnavailable when absent, DigestMismatch (and quarantined) when damaged."""
        return await asyncio.to_thread(self._get, ref)

    async def read(self, ref: BlobRef, offset: int, length: int) -> bytes:
        """A range clipped to the size, unverified."""
        if offset < 0 or length < 0:
            raise FormatError(f"offset {offset} and length {length} of a range must not be negative")
        return await asyncio.to_thread(self._read, ref, offset, length)

    async def outline(self, ref: BlobRef) -> bytes:
        """The leaf digests, from the file beside the blob or, where that is damaged, from the blob."""
        return await asyncio.to_thread(self._outline, ref)

    async def has(self, ref: BlobRef) -> bool:
        return self._path(ref).is_file()

    async def pin(self, ref: BlobRef, why: str) -> None:
        """Keep the blob while the reason stands; BlobUnavailable when absent."""
        await asyncio.to_thread(self._change_pins, ref, why, True)

    async def unpin(self, ref: BlobRef, why: str) -> None:
        """Take one reason away; one that does not stand is no error."""
        await asyncio.to_thread(self._change_pins, ref, why, False)

    async def collect(self, *, grace: float, now: float) -> int:
        """Delete unpinned blobs stored more than `grace` seconds before `now`, and what crashes left; returns the blobs' bytes freed."""
        return await asyncio.to_thread(self._collect, grace, now)

    def _path(self, ref: BlobRef) -> Path:
        name = ref.digest.hex()
        return self._directory / name[:2] / f"{name}.{ref.size}"

    def _blobs(self) -> Iterator[Path]:
        return (path for path in self._directory.glob("??/*") if path.suffix not in (_PINS, _OUTLINE))

    def _absent(self, ref: BlobRef) -> BlobUnavailable:
        return BlobUnavailable(f"blob {unixfs.text(ref)} is not in {self._directory}; fetch it from a holder")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"the blob store {self._directory} cannot be written ({error.strerror}); make room or check its rights, nothing was kept"
            ) from error

    def _put(self, data: bytes | memoryview) -> BlobRef:
        outline = unixfs.outline(data)
        ref = unixfs.name_of(outline, memoryview(data).nbytes)
        path = self._path(ref)
        with self._writing():
            if not self._reserve(path, ref.size):
                return ref
            # Flushed side by side: the lock is held for the books alone, never for the disk.
            wrote = False
            try:
                if ref.size > unixfs.LEAF:
                    self._write(path.with_name(path.name + _OUTLINE), outline)
                wrote = self._write(path, data)
            finally:
                if not wrote:  # it failed, or another thread stored the same meanwhile
                    with self._lock:
                        self._used -= ref.size
        return ref

    def _reserve(self, path: Path, size: int) -> bool:
        """Count the bytes of a new blob; False when it is there already. StorageError when there is no room."""
        with self._lock:
            if path.exists():
                self._stamp(path)
                return False
            if self._quota is not None and self._used + size > self._quota:
                raise StorageError(
                    f"the blob store {self._directory} has no room for {size} bytes ({self._used} of {self._quota} used);"
                    " collect or raise its quota"
                )
            self._used += size
            return True

    def _stamp(self, path: Path) -> None:
        """Sets a file's time to the clock's: when the blob was last stored."""
        now = self._clock.now()
        os.utime(path, (now, now))

    def _write(self, path: Path, data: bytes | memoryview) -> bool:
        """Makes a file appear whole: written aside, flushed, renamed, the folder flushed. Whether it was not there before."""
        aside = self._directory / "incoming" / secrets.token_hex(16)
        path.parent.mkdir(exist_ok=True)
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                self._stamp(aside)
                os.fsync(file.fileno())
            with self._lock:
                new = not path.exists()
                aside.replace(path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return new

    def _get(self, ref: BlobRef) -> bytes:
        path = self._path(ref)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise self._absent(ref) from None
        except OSError as error:
            raise StorageError(f"blob {path} cannot be read ({error.strerror}); check the disk or fetch it again") from error
        if unixfs.root(data) != ref:
            with self._lock, self._writing(), contextlib.suppress(FileNotFoundError):
                path.replace(self._directory / "quarantine" / path.name)
                self._used -= len(data)
            raise DigestMismatch(f"the stored blob {unixfs.text(ref)} is damaged and was moved to quarantine; fetch it again")
        return data

    def _read(self, ref: BlobRef, offset: int, length: int) -> bytes:
        try:
            with self._path(ref).open("rb") as file:
                return os.pread(file.fileno(), min(length, max(ref.size - offset, 0)), offset)
        except FileNotFoundError:
            raise self._absent(ref) from None
        except OSError as error:
            raise StorageError(f"blob {self._path(ref)} cannot be read ({error.strerror}); check the disk or fetch it again") from error

    def _outline(self, ref: BlobRef) -> bytes:
        path = self._path(ref)
        if not path.exists():
            raise self._absent(ref)
        if ref.size <= unixfs.LEAF:
            return ref.digest
        beside = path.with_name(path.name + _OUTLINE)
        with contextlib.suppress(OSError, FormatError):
            if unixfs.name_of(kept := beside.read_bytes(), ref.size) == ref:
                return kept
        outline = unixfs.outline(self._get(ref))
        with self._writing():
            self._write(beside, outline)
        return outline

    def _change_pins(self, ref: BlobRef, why: str, stands: bool) -> None:
        path = self._path(ref)
        with self._lock, self._writing():
            if stands and not path.exists():
                raise self._absent(ref)
            before = self._pins_of(path)
            after = before | {why} if stands else before - {why}
            if after != before:
                self._write(path.with_name(path.name + _PINS), pins.encode(after))

    def _pins_of(self, path: Path) -> frozenset[str]:
        beside = path.with_name(path.name + _PINS)
        return pins.parse(beside.read_bytes(), str(beside)) if beside.exists() else frozenset()

    def _collect(self, grace: float, now: float) -> int:
        freed = 0
        with self._writing():
            for path in list(self._blobs()):
                with self._lock, contextlib.suppress(FileNotFoundError):
                    about = path.stat()
                    if now - about.st_mtime <= grace or self._pins_of(path):
                        continue
                    path.unlink()
                    for suffix in (_PINS, _OUTLINE):
                        path.with_name(path.name + suffix).unlink(missing_ok=True)
                    self._used -= about.st_size
                    freed += about.st_size
            for left in (self._directory / "incoming").iterdir():
                if now - left.stat().st_mtime > grace:
                    left.unlink(missing_ok=True)
        return freed
