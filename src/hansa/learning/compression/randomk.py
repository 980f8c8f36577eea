"""Random-k: of each chunk the coordinates that the round's public seed draws travel, without indices (Stich et al. 2018, arXiv:1809.07599).

All sites of a round send the same coordinates, so a robust rule compares like with like. Wire form: the values as integers of the grid.
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


class RandomK(msgspec.Struct, frozen=True, tag="random-k", forbid_unknown_fields=True):
    """Keeps `keep` of each `chunk` coordinates as they are, not scaled up; what is not sent waits, times `decay`, for the next round."""

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
        positions = self._chunks(grid).random(seed)
        values, saturated = grid.round_at(positions, value)
        return grid.write(values), state, {"compression.saturated": saturated / positions.size}

    def decode(self, grid: Grid, data: bytes | memoryview, seed: int) -> Integers:
        check_length(data, self.limit(grid))
        positions = self._chunks(grid).random(seed)
        dense = np.zeros(grid.layout.size, grid.integers)
        dense[positions] = grid.read(data, positions.size, 0)
        return dense

    def limit(self, grid: Grid) -> int:
        return self._chunks(grid).count * grid.width

    def restore(self, grid: Grid, sums: NDArray[np.signedinteger], seed: int) -> NDArray[np.float64]:
        return grid.reals(sums)

    def _chunks(self, grid: Grid) -> Chunks:
        return Chunks(grid.layout.size, self.chunk, self.keep)
