"""Blobs of a node's store for work in a thread: each is read when it is asked for, so that a round's updates need not lie in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from hansa.core.types import BlobRef
from hansa.node.blobs import Blobs


class Lent(Mapping[bytes, bytes]):
    """Bytes by digest, of the blobs named by `refs`. Made in a coroutine and read from threads: the loop's own would wait for itself."""

    def __init__(self, blobs: Blobs, refs: Iterable[BlobRef]) -> None:
        self._blobs, self._loop = blobs, asyncio.get_running_loop()
        self._refs = {ref.digest: ref for ref in refs}

    def __getitem__(self, digest: bytes) -> bytes:
        """KeyError for a blob that was not named, BlobUnavailable for one that the store has lost."""
        return asyncio.run_coroutine_threadsafe(self._blobs.own(self._refs[digest]), self._loop).result()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)
