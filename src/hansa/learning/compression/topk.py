"""Top-k: of each chunk the coordinates of largest magnitude travel, with their indices (Aji and Heafield 2017, arXiv:1704.05021).

Wire form: the indices within their chunks, ascending, then the values as integers of the grid.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.learning.compression.chunks import Chunks, check_chunk
from hansa.learning.compression.compression import Grid, check_length
from hansa.learning.compression.feedback import check_decay, encode, initial_error
from hansa.model.layout import Layout
from hansa.model.stages import Measurements, State
from hansa.model.state import Vector
from hansa.model.update import Integers


class TopK(msgspec.Struct, frozen=True, tag="top-k", forbid_unknown_fields=True):
    """Keeps `keep` of each `chunk` coordinates, by (-|x|, index); what is not sent waits, times `decay`, for the next round."""

    keep: int = 64
    chunk: int = 4096
    decay: float = 1.0

    def __post_init__(self) -> None:
        check_chunk(self.keep, self.chunk)
        check_decay(self.decay)

    def check(self, layout: Layout) -> None:
        """Every layout will do: a vector shorter than a chunk is one short chunk."""

    def grid(self, grid: Grid) -> Grid:
        return grid

    def initial(self, layout: Layout) -> State:
        return initial_error(self, layout)

    def encode(self, grid: Grid, value: Vector, state: State, seed: int) -> tuple[bytes, State, Measurements]:
        return encode(self, grid, value, state, seed)

    def pack(self, grid: Grid, value: Vector, state: State, seed: int) -> tuple[bytes, State, Measurements]:
        """The bytes without error feedback."""
        chunks = self._chunks(grid)
        positions = chunks.largest(value)
        values, saturated = grid.round_at(positions, value)
        return chunks.pack(positions) + grid.write(values), state, {"compression.saturated": saturated / chunks.count}

    def decode(self, grid: Grid, data: bytes | memoryview, seed: int) -> Integers:
        check_length(data, self.limit(grid))
        chunks = self._chunks(grid)
        dense = np.zeros(grid.layout.size, grid.integers)
        dense[chunks.unpack(data[: chunks.packed_size])] = grid.read(data, chunks.count, chunks.packed_size)
        return dense

    def limit(self, grid: Grid) -> int:
        chunks = self._chunks(grid)
        return chunks.packed_size + chunks.count * grid.width

    def restore(self, grid: Grid, sums: NDArray[np.signedinteger], seed: int) -> NDArray[np.float64]:
        return grid.reals(sums)

    def _chunks(self, grid: Grid) -> Chunks:
        return Chunks(grid.layout.size, self.chunk, self.keep)
