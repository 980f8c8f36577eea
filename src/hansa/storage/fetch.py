"""Fetching a blob from holders nobody trusts: resumable, verified leaf by leaf, from several at once.

A holder serves byte ranges and the outline (the leaf digests). The outline proves itself, for with the size it decides the root; then every
leaf is hashed before it is written. Who sends a wrong byte is banned for this blob, who is slow or silent is asked less.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol
from weakref import WeakValueDictionary

from hansa.core.errors import BlobUnavailable, DigestMismatch, HansaError, StorageError
from hansa.core.ports import BlobStore
from hansa.core.types import BlobRef
from hansa.storage import unixfs
from hansa.storage.unixfs import LEAF

STRIKES = 3
"""Times in a row a holder may fail to answer before it is no longer asked for this blob."""

_under_way: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()


class Source(Protocol):
    """One holder of one blob; raises HansaError or TimeoutError when it cannot answer."""

    @property
    def name(self) -> str:
        """Who it is, stable across addresses: its account."""
        ...

    async def read(self, offset: int, length: int) -> bytes: ...

    async def outline(self) -> bytes: ...


class Fetched(NamedTuple):
    """The verified file, leaves fetched now, leaves found from an earlier try, holders that sent wrong bytes."""

    path: Path
    fetched: int
    resumed: int
    liars: tuple[str, ...]


class StoreSource:
    """A blob store as a holder: a bucket both sides can read, or a neighbour in the same process."""

    def __init__(self, name: str, store: BlobStore, ref: BlobRef) -> None:
        self.name = name
        self._store = store
        self._ref = ref

    async def read(self, offset: int, length: int) -> bytes:
        return await self._store.read(self._ref, offset, length)

    async def outline(self) -> bytes:
        return await self._store.outline(self._ref)


class _Holder:
    """What a fetch has learnt of one source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.liar = False
        self.strikes = 0
        self.under_way = 0
        self.seconds = 0.0

    def rank(self) -> tuple[int, float, int]:
        """Lower is asked sooner: fewest failures in a row, then the shortest expected wait (the untried first)."""
        return self.strikes, (self.under_way + 1) * self.seconds, self.under_way


class _Holders:
    def __init__(self, sources: Sequence[Source], timeout: float, timer: Callable[[], float]) -> None:
        self._all = [_Holder(source) for source in sources]
        self._timeout = timeout
        self._timer = timer

    @property
    def liars(self) -> tuple[str, ...]:
        return tuple(holder.source.name for holder in self._all if holder.liar)

    async def answer(self, length: int, request: Callable[[Source], Awaitable[bytes]], accept: Callable[[bytes], bool]) -> bytes | None:
        """The first answer of `length` bytes that `accept`, run in a thread, finds right; None when nobody is left to ask."""
        while (holder := self._best()) is not None:
            holder.under_way += 1
            began = self._timer()
            try:
                async with asyncio.timeout(self._timeout):
                    data = await request(holder.source)
            except (HansaError, TimeoutError):
                data = None
            finally:
                holder.under_way -= 1
            if length == LEAF:  # only full leaves can be compared with each other
                took = self._timer() - began
                holder.seconds = took if holder.seconds == 0.0 else 0.7 * holder.seconds + 0.3 * took
            if data is None or len(data) != length:
                # Silence, a refusal or a cut reply is no lie: the holder may only be busy.
                holder.strikes += 1
            elif await asyncio.to_thread(accept, data):
                holder.strikes = 0
                return data
            else:
                holder.liar = True
        return None

    def lost(self) -> str:
        """Why nobody is left, in words."""
        silent = [holder.source.name for holder in self._all if not holder.liar]
        reasons = [f"{', '.join(names)} {what}" for names, what in ((self.liars, "sent wrong bytes"), (silent, "did not answer")) if names]
        return "; ".join(reasons) or "no holder is known"

    def _best(self) -> _Holder | None:
        usable = (holder for holder in self._all if not holder.liar and holder.strikes < STRIKES)
        return min(usable, key=_Holder.rank, default=None)


async def fetch(
    ref: BlobRef,
    sources: Sequence[Source],
    directory: Path,
    *,
    parallel: int = 4,
    timeout: float = 30.0,
    timer: Callable[[], float] = time.monotonic,
) -> Fetched:
    """Bring the blob to `directory`, named by its CID, asking for at most `parallel` leaves at a time, `timeout` seconds each.

    An earlier try's `.part` file is taken up again: what is in it is known by hashing it, never by a note beside it. BlobUnavailable when
    nobody is left to ask (what came is kept), StorageError when there is no room. One fetch of a blob into a directory at a time.
    """
    count = unixfs.leaf_count(ref.size)
    holders = _Holders(sources, timeout, timer)
    outline = await _outline(ref, count, holders)
    path = directory / unixfs.text(ref)
    part = path.with_name(path.name + ".part")
    missing = await asyncio.to_thread(_prepare, path, part, outline, ref.size)
    todo = deque(missing)
    lost: list[int] = []
    failed: list[StorageError] = []

    async def bring(place: int) -> None:
        offset, length = place * LEAF, _length(place, ref.size)
        keep = partial(_keep, part, offset, _digest(outline, place))
        if await holders.answer(length, lambda source: source.read(offset, length), keep) is None:
            lost.append(place)

    async def work() -> None:
        while todo:
            try:
                await bring(todo.popleft())
            except StorageError as error:
                failed.append(error)
                todo.clear()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(parallel, len(missing))):
            group.create_task(work())
    if failed:
        raise failed[0]
    if lost:
        raise BlobUnavailable(
            f"{len(lost)} of {count} leaves of blob {unixfs.text(ref)} are missing: {holders.lost()}; try again later, what came is kept"
        )
    await asyncio.to_thread(_finish, path, part)
    return Fetched(path, len(missing), count - len(missing), holders.liars)


async def obtain(store: BlobStore, ref: BlobRef, sources: Sequence[Source], directory: Path) -> bytes:
    """The blob's content from the store, or from holders into the store; callers at the same time share one fetch. Errors of both."""
    async with _under_way.setdefault(directory / unixfs.text(ref), asyncio.Lock()):
        try:
            return await store.get(ref)
        except (BlobUnavailable, DigestMismatch):
            fetched = await fetch(ref, sources, directory)
        data = await asyncio.to_thread(fetched.path.read_bytes)
        await store.put(data)
        fetched.path.unlink()
        return data


async def _outline(ref: BlobRef, count: int, holders: _Holders) -> bytes:
    if count == 1:
        return ref.digest

    def proves_itself(data: bytes) -> bool:
        return unixfs.name_of(data, ref.size) == ref

    found = await holders.answer(count * 32, lambda source: source.outline(), proves_itself)
    if found is None:
        raise BlobUnavailable(f"the outline of blob {unixfs.text(ref)} cannot be had: {holders.lost()}; try again later")
    return found


def _length(place: int, size: int) -> int:
    return min(LEAF, size - place * LEAF)


def _digest(outline: bytes, place: int) -> bytes:
    return outline[place * 32 : place * 32 + 32]


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror}); make room or check its rights, what came is kept") from error


def _prepare(path: Path, part: Path, outline: bytes, size: int) -> list[int]:
    """Makes `part` a sparse file of the full size and says which leaves it lacks; a finished file is checked the same way."""
    with _writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.replace(part)
        known = part.exists()
        with part.open("ab") as file:
            file.truncate(size)
        missing = [place for place in range(len(outline) // 32) if not (known or size == 0) or not _holds(part, outline, place, size)]
        needed = sum(_length(place, size) for place in missing)
        free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise StorageError(f"{part.parent} has {free} bytes free and the blob lacks {needed}; make room")
    return missing


def _holds(part: Path, outline: bytes, place: int, size: int) -> bool:
    with part.open("rb") as file:
        data = os.pread(file.fileno(), _length(place, size), place * LEAF)
    return hashlib.sha256(data).digest() == _digest(outline, place)


def _keep(part: Path, offset: int, digest: bytes, data: bytes) -> bool:
    """Writes a leaf if it is the right one. Opens the file anew: a cancelled fetch must not leave a thread writing to a reused number."""
    if hashlib.sha256(data).digest() != digest:
        return False
    with _writing(part), part.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    return True


def _finish(path: Path, part: Path) -> None:
    with _writing(path):
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
