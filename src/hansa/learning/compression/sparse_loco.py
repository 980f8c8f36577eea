"""SparseLoCo: top-k of each chunk with error feedback, the kept values in 2 bits (arXiv:2508.15706).

Wire form: a codebook of four integers of the grid, ascending, for each group of chunks; the indices within their chunks, 12 bits each for
chunks of 4096, ascending; the codes, 2 bits each. The codes mean far below, below, above and far above zero.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError
from hansa.learning.compression.chunks import Chunks, check_chunk
from hansa.learning.compression.compression import Grid, check_length
from hansa.learning.compression.feedback import check_decay, encode, initial_error
from hansa.learning.compression.packing import Codes, pack, packed_size, unpack
from hansa.model.layout import Layout
from hansa.model.stages import Measurements, State
from hansa.model.state import Vector
from hansa.model.update import Integers

GROUP = 16
"""Chunks that share a codebook: 8 bytes beside the 1792 of their indices and codes. On a language model's updates one for each chunk would
say 1 % more of what the kept values say, and make the payload 7 % longer."""

_PASSES = 4
"""Of Lloyd's iteration; more changed nothing that could be measured."""


class SparseLoco(msgspec.Struct, frozen=True, tag="sparse-loco", forbid_unknown_fields=True):
    """Keeps `keep` of each `chunk` coordinates, by (-|x|, index), each as one of four values; what is not sent waits, times `decay`."""

    keep: int = 64
    chunk: int = 4096
    decay: float = 0.95

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
        codebooks, codes = _codes(values, chunks.chunk_of_each() // GROUP)
        payload = grid.write(codebooks.ravel()) + chunks.pack(positions) + pack(codes, 2)
        return payload, state, {"compression.saturated": saturated / chunks.count}

    def decode(self, grid: Grid, data: bytes | memoryview, seed: int) -> Integers:
        check_length(data, self.limit(grid))
        chunks, groups = self._chunks(grid), self._groups(grid)
        codebooks = grid.read(data, groups * 4, 0).reshape(groups, 4)
        if (codebooks[:, 1:] < codebooks[:, :-1]).any() or (codebooks[:, 1] > 0).any() or (codebooks[:, 2] < 0).any():
            raise FormatError("a codebook of a compressed update does not ascend from two values below zero to two above it")
        start = codebooks.size * grid.width
        positions = chunks.unpack(data[start : start + chunks.packed_size])
        codes = unpack(data[start + chunks.packed_size :], chunks.count, 2)
        dense = np.zeros(grid.layout.size, grid.integers)
        dense[positions] = codebooks.ravel()[chunks.chunk_of_each() // GROUP * 4 + codes]
        return dense

    def limit(self, grid: Grid) -> int:
        chunks = self._chunks(grid)
        return 4 * self._groups(grid) * grid.width + chunks.packed_size + packed_size(chunks.count, 2)

    def restore(self, grid: Grid, sums: NDArray[np.signedinteger], seed: int) -> NDArray[np.float64]:
        return grid.reals(sums)

    def _chunks(self, grid: Grid) -> Chunks:
        return Chunks(grid.layout.size, self.chunk, self.keep)

    def _groups(self, grid: Grid) -> int:
        return -(-grid.layout.size // (self.chunk * GROUP))


def _codes(values: NDArray[np.int64], group: NDArray[np.int64]) -> tuple[NDArray[np.int64], Codes]:
    """Codebooks (groups, 4) and codes (m,) for grid integers (m,): in each group and on each side of zero the two means that Lloyd's
    iteration reaches in a fixed number of passes from the mean as threshold. Exact: sums of integers below 2^53, one division each."""
    groups = int(group[-1]) + 1
    side = 2 * group + (values >= 0)
    magnitudes = np.abs(values)
    threshold = _means(side, magnitudes, 2 * groups)
    for _ in range(_PASSES):
        far = magnitudes > threshold[side]
        near_mean, far_mean = _means(2 * side + far, magnitudes, 4 * groups).reshape(-1, 2).T
        # A side without far values has one value only; both its codes then mean it.
        far_mean = np.maximum(near_mean, far_mean)
        threshold = (near_mean + far_mean) / 2
    near, outer = np.rint(near_mean).astype(np.int64), np.rint(far_mean).astype(np.int64)
    codebooks = np.stack([-outer[0::2], -near[0::2], near[1::2], outer[1::2]], axis=1)
    codes = np.where(values >= 0, 2 + far, 1 - far.astype(np.int8))
    return codebooks, codes.astype(np.uint8)


def _means(place: NDArray[np.int64], values: NDArray[np.int64], places: int) -> NDArray[np.float64]:
    """The mean of the values at each place, 0 where there are none."""
    counts = np.bincount(place, minlength=places)
    return np.bincount(place, values, minlength=places) / np.maximum(counts, 1)
