"""The blob store on any fsspec file system (S3, GCS, SFTP, memory, ...); credentials are the file system's business."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import fsspec

from hansa.core.errors import BlobUnavailable, DigestMismatch, FormatError, HansaError, StorageError
from hansa.core.types import BlobRef
from hansa.storage import pins, unixfs

_PINS = ".pins"


class RemoteStore:
    """Blobs as objects `<root>/ab/<digest>.<size>`, pins as objects beside them; one process pins and collects at a time.

    `url` as fsspec reads it ("s3://bucket/folder"). An object whose length is not its size is a broken upload and counts as absent.
    Times for `collect` are the remote system's own.
    """

    def __init__(self, url: str, **options: Any) -> None:
        try:
            # A cached listing would tell of objects that are gone.
            self._files, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
        except (ValueError, ImportError) as error:
            raise StorageError(
                f"no blob store can be opened at {url!r} ({error}); check the address and install its fsspec driver"
            ) from error
        self._lock = threading.Lock()

    async def put(self, data: bytes | memoryview) -> BlobRef:
        """Store and name the bytes; StorageError when the remote side refuses."""
        return await asyncio.to_thread(self._put, data)

    async def get(self, ref: BlobRef) -> bytes:
        """The whole content; BlobUnavailable when absent, DigestMismatch (and deleted) when damaged."""
        return await asyncio.to_thread(self._get, ref)

    async def read(self, ref: BlobRef, offset: int, length: int) -> bytes:
        """A range clipped to the size, unverified."""
        if offset < 0 or length < 0:
            raise FormatError(f"offset {offset} and length {length} of a range must not be negative")
        return await asyncio.to_thread(self._read, ref, offset, length)

    async def outline(self, ref: BlobRef) -> bytes:
        """The leaf digests, computed from the content each time."""
        return ref.digest if ref.size <= unixfs.LEAF and await self.has(ref) else unixfs.outline(await self.get(ref))

    async def has(self, ref: BlobRef) -> bool:
        return await asyncio.to_thread(self._has, ref)

    async def pin(self, ref: BlobRef, why: str) -> None:
        """Keep the blob while the reason stands; BlobUnavailable when absent."""
        await asyncio.to_thread(self._change_pins, ref, why, True)

    async def unpin(self, ref: BlobRef, why: str) -> None:
        """Take one reason away; one that does not stand is no error."""
        await asyncio.to_thread(self._change_pins, ref, why, False)

    async def collect(self, *, grace: float, now: float) -> int:
        """Delete unpinned blobs stored more than `grace` seconds before `now`; returns the bytes freed."""
        return await asyncio.to_thread(self._collect, grace, now)

    def _path(self, ref: BlobRef) -> str:
        name = ref.digest.hex()
        return f"{self._root}/{name[:2]}/{name}.{ref.size}"

    @contextlib.contextmanager
    def _using(self, ref: BlobRef | None = None) -> Iterator[None]:
        try:
            yield
        except HansaError:
            raise
        except FileNotFoundError as error:
            if ref is None:
                raise StorageError(f"the blob store {self._root} lost a file while it was used ({error}); try again") from error
            raise BlobUnavailable(f"blob {unixfs.text(ref)} is not in {self._root}; fetch it from a holder") from error
        except Exception as error:
            # Drivers raise their own libraries' exceptions, which have no common class.
            raise StorageError(f"the blob store {self._root} cannot be used ({error}); check its address, rights and room") from error

    def _has(self, ref: BlobRef) -> bool:
        with self._using():
            try:
                return bool(self._files.size(self._path(ref)) == ref.size)
            except FileNotFoundError:
                return False

    def _put(self, data: bytes | memoryview) -> BlobRef:
        ref = unixfs.root(data)
        path = self._path(ref)
        with self._lock, self._using():
            if self._has(ref):
                # Writing the pins again is how an object is touched: the younger of the two times counts.
                self._files.pipe_file(path + _PINS, pins.encode(self._pins_of(path)))
            else:
                self._files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
                self._files.pipe_file(path, bytes(data))
        return ref

    def _get(self, ref: BlobRef) -> bytes:
        with self._using(ref):
            data = bytes(self._files.cat_file(self._path(ref)))
        if unixfs.root(data) != ref:
            with self._using(ref):
                self._files.rm_file(self._path(ref))
            raise DigestMismatch(f"the stored blob {unixfs.text(ref)} is damaged and was deleted; fetch it again")
        return data

    def _read(self, ref: BlobRef, offset: int, length: int) -> bytes:
        end = min(offset + length, ref.size)
        with self._using(ref):
            if offset >= end:
                self._files.info(self._path(ref))
                return b""
            return bytes(self._files.cat_file(self._path(ref), start=offset, end=end))

    def _change_pins(self, ref: BlobRef, why: str, stands: bool) -> None:
        path = self._path(ref)
        with self._lock, self._using(ref):
            if stands and not self._has(ref):
                raise FileNotFoundError(path)
            before = self._pins_of(path)
            after = before | {why} if stands else before - {why}
            if after != before:
                self._files.pipe_file(path + _PINS, pins.encode(after))

    def _pins_of(self, path: str) -> frozenset[str]:
        try:
            return pins.parse(self._files.cat_file(path + _PINS), path + _PINS)
        except FileNotFoundError:
            return frozenset()

    def _collect(self, grace: float, now: float) -> int:
        freed = 0
        with self._lock, self._using():
            if not self._files.exists(self._root):
                return 0
            found: dict[str, dict[str, Any]] = self._files.find(self._root, detail=True)
            for path, about in found.items():
                if path.endswith(_PINS):
                    continue
                beside = path + _PINS
                stored = max(_seconds(self._files.modified(one)) for one in (path, beside) if one in found)
                if now - stored <= grace or self._pins_of(path):
                    continue
                self._files.rm_file(path)
                if beside in found:
                    self._files.rm_file(beside)
                freed += int(about["size"])
        return freed


def _seconds(moment: datetime) -> float:
    """Seconds since 1970; drivers that give no zone mean UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
