"""The blob store in memory: the public twin for tests and simulations."""

from __future__ import annotations

from hansa.core.clock import Clock, SystemClock
from hansa.core.errors import BlobUnavailable, DigestMismatch, FormatError, StorageError
from hansa.core.types import BlobRef
from hansa.storage import unixfs


class MemoryStore:
    """Blobs in a dictionary; `capacity` in bytes plays a full disk."""

    def __init__(self, clock: Clock | None = None, *, capacity: int | None = None) -> None:
        self._clock = clock or SystemClock()
        self._capacity = capacity
        self._blobs: dict[BlobRef, bytes] = {}
        self._stored: dict[BlobRef, float] = {}
        self._pins: dict[BlobRef, set[str]] = {}

    async def put(self, data: bytes | memoryview) -> BlobRef:
        """Store and name the bytes; StorageError when they do not fit."""
        ref = unixfs.root(data)
        if ref not in self._blobs:
            if self._capacity is not None and sum(map(len, self._blobs.values())) + ref.size > self._capacity:
                raise StorageError(
                    f"the store in memory has no room for {ref.size} bytes; collect or raise its capacity of {self._capacity}"
                )
            self._blobs[ref] = bytes(data)
        self._stored[ref] = self._clock.now()
        return ref

    async def get(self, ref: BlobRef) -> bytes:
        """The whole content; BlobUnavailable when absent, DigestMismatch (and gone) when damaged."""
        data = self._find(ref)
        if unixfs.root(data) != ref:
            del self._blobs[ref]
            raise DigestMismatch(f"the stored blob {unixfs.text(ref)} is damaged and was set aside; fetch it again")
        return data

    async def read(self, ref: BlobRef, offset: int, length: int) -> bytes:
        """A range clipped to the size, unverified."""
        if offset < 0 or length < 0:
            raise FormatError(f"offset {offset} and length {length} of a range must not be negative")
        return self._find(ref)[offset : offset + length]

    async def outline(self, ref: BlobRef) -> bytes:
        """The leaf digests."""
        return unixfs.outline(self._find(ref))

    async def has(self, ref: BlobRef) -> bool:
        return ref in self._blobs

    async def pin(self, ref: BlobRef, why: str) -> None:
        """Keep the blob while the reason stands; BlobUnavailable when absent."""
        self._find(ref)
        self._pins.setdefault(ref, set()).add(why)

    async def unpin(self, ref: BlobRef, why: str) -> None:
        """Take one reason away; one that does not stand is no error."""
        self._pins.get(ref, set()).discard(why)

    async def collect(self, *, grace: float, now: float) -> int:
        """Delete unpinned blobs stored more than `grace` seconds before `now`; returns the bytes freed."""
        old = [ref for ref in self._blobs if not self._pins.get(ref) and now - self._stored[ref] > grace]
        return sum(len(self._blobs.pop(ref)) for ref in old)

    def _find(self, ref: BlobRef) -> bytes:
        if ref not in self._blobs:
            raise BlobUnavailable(f"blob {unixfs.text(ref)} is not in this store; fetch it from a holder")
        return self._blobs[ref]
