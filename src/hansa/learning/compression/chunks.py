"""A flat vector in chunks, of which a fixed number of coordinates each is kept: the largest, or ones that a public seed draws.

Chunks run over the whole vector, not tensor by tensor, so that what they cost does not grow with the number of small tensors; on a language
model's updates chunks of each tensor held 3 % more of what a round sends, and the loss after as many rounds was 0.1 to 0.3 % lower. The
last chunk may be short and then keeps its share, rounded up, so that nothing is spent on padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError
from hansa.learning.compression.packing import pack, packed_size, unpack
from hansa.model.state import Vector

MAX_CHUNK = 1 << 16

_BLOCK = 256
"""Chunks for which random words are held at a time."""

Positions = NDArray[np.int64]
"""Ascending places in the flat vector (m,)."""


def check_chunk(keep: int, chunk: int) -> None:
    """FormatError unless 1 <= keep <= chunk and the chunk has 2 to 65536 coordinates."""
    if not 2 <= chunk <= MAX_CHUNK:
        raise FormatError(f"a chunk has 2 to {MAX_CHUNK} coordinates, not {chunk}")
    if not 1 <= keep <= chunk:
        raise FormatError(f"{keep} coordinates of a chunk of {chunk} cannot be kept; keep 1 to {chunk}")


@dataclass(frozen=True, slots=True)
class Chunks:
    """A vector of `size` coordinates in chunks of `chunk`, `keep` of each kept."""

    size: int
    chunk: int
    keep: int

    @property
    def _full(self) -> int:
        return self.size // self.chunk

    @property
    def _tail(self) -> tuple[int, int]:
        """Length of the short last chunk and how many of it are kept; zeros where there is none."""
        length = self.size % self.chunk
        return length, -(-self.keep * length // self.chunk)

    @property
    def count(self) -> int:
        """How many coordinates are kept in all."""
        return self._full * self.keep + self._tail[1]

    @property
    def width(self) -> int:
        """Bits of one index within a chunk."""
        return (self.chunk - 1).bit_length()

    @property
    def packed_size(self) -> int:
        """Bytes of the kept indices."""
        return packed_size(self.count, self.width)

    def largest(self, vector: Vector) -> Positions:
        """The coordinates of largest magnitude of each chunk; of equal ones those of lower index."""
        # The bits of non-negative floats order as the numbers do, and integers are partitioned faster.
        return self.top(np.abs(vector).view(np.int32))

    def top(self, ranks: NDArray[np.signedinteger]) -> Positions:
        """The coordinates of highest rank (d,) of each chunk; of equal ones those of lower index."""
        split = self._full * self.chunk
        full = _top_of_rows(ranks[:split].reshape(-1, self.chunk), self.keep)
        return np.concatenate([full, split + _top_of_rows(ranks[split:].reshape(1, -1), self._tail[1])])

    def random(self, seed: int) -> Positions:
        """Coordinates of each chunk drawn without replacement, all sets equally likely, the same for a seed on every machine."""
        return _drawn(self, seed)

    def pack(self, positions: Positions) -> bytes:
        """The indices within their chunks, `width` bits each."""
        return pack((positions % self.chunk).astype(np.uint16), self.width)

    def unpack(self, data: bytes | memoryview) -> Positions:
        """Positions from `packed_size` bytes; FormatError when an index is outside its chunk, or not above the one before it."""
        indices = unpack(data, self.count, self.width).astype(np.int64)
        split = self._full * self.keep
        length, _ = self._tail
        for rows, extent in ((indices[:split].reshape(-1, self.keep), self.chunk), (indices[split:].reshape(1, -1), length)):
            if rows.size and int(rows.max()) >= extent:
                raise FormatError(f"the index {int(rows.max())} of a compressed update is outside its chunk of {extent}")
            if (rows[:, 1:] <= rows[:, :-1]).any():
                raise FormatError("the indices of a compressed update do not ascend within their chunk")
        return indices + self.chunk_of_each() * self.chunk

    def chunk_of_each(self) -> Positions:
        """For each kept coordinate, in order, the number of its chunk."""
        return np.concatenate([np.repeat(np.arange(self._full), self.keep), np.full(self._tail[1], self._full)])


def _top_of_rows(ranks: NDArray[np.signedinteger], keep: int) -> Positions:
    """Flat ascending positions of the `keep` largest of each row (n, m); of equal ones those to the left."""
    if not ranks.size:
        return np.empty(0, np.int64)
    least = np.partition(ranks, ranks.shape[1] - keep, axis=1)[:, ranks.shape[1] - keep, None]
    chosen = ranks >= least
    # A partition promises no order among equals, so it only finds the threshold; rows where too many reach it are cut from the right.
    if np.count_nonzero(chosen) > keep * len(ranks):
        rows = np.flatnonzero(np.count_nonzero(chosen, axis=1) > keep)
        tied = ranks[rows] == least[rows]
        room = keep - np.count_nonzero(ranks[rows] > least[rows], axis=1, keepdims=True)
        chosen[rows] &= ~tied | (np.cumsum(tied, axis=1) <= room)
    return np.flatnonzero(chosen)


@lru_cache(maxsize=4)
def _drawn(chunks: Chunks, seed: int) -> Positions:
    # Raw PCG64 words: numpy promises that stream for ever, but not the stream of its distributions.
    generator, parts = np.random.PCG64(seed), []
    for start in range(0, chunks.size, _BLOCK * chunks.chunk):
        block = Chunks(min(_BLOCK * chunks.chunk, chunks.size - start), chunks.chunk, chunks.keep)
        parts.append(start + block.top((generator.random_raw(block.size) >> np.uint64(1)).astype(np.int64)))
    positions = np.concatenate(parts)
    positions.flags.writeable = False
    return positions
