"""A compression: what a site sends instead of a dense update, decoded by everyone to the same dense integers on the round's public grid.

A decoded update is summed, or put through a robust rule, like any other (DESIGN idea 2); so the aggregate of sparse updates is the sum over
all sites, never over those that chose a coordinate. Encoders decide by exact comparisons and integer sums, elementwise IEEE operations and
correctly rounded sums, so that whoever replays a site's round gets the same bytes; decoders check every field before they use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError
from hansa.model.layout import Layout
from hansa.model.stages import Measurements, State
from hansa.model.state import Vector
from hansa.model.update import Integers, Scales, check_scales, dequantise, largest, quantise


@dataclass(frozen=True, slots=True)
class Grid:
    """The integers of one round: coordinate i of a tensor with public scale s stands for i * s, |i| <= 2^(bits-1) - 1, bits 16 or 32."""

    layout: Layout
    scales: Scales
    bits: int = 16

    def __post_init__(self) -> None:
        check_scales(self.layout, self.scales)
        largest(self.bits)

    @property
    def largest(self) -> int:
        """The largest magnitude of an integer on the grid."""
        return largest(self.bits)

    @property
    def integers(self) -> np.dtype[np.signedinteger]:
        """The type of decoded integers, in the machine's byte order."""
        return np.dtype(np.int16 if self.bits == 16 else np.int32)

    @property
    def width(self) -> int:
        """Bytes of one integer on the wire."""
        return self.bits // 8

    def round(self, value: Vector) -> tuple[Integers, int]:
        """The nearest point of the grid to a float32 vector (d,), and how many coordinates saturated."""
        return quantise(self.layout, value, self.scales, self.bits)

    def round_at(self, positions: NDArray[np.int64], value: Vector) -> tuple[NDArray[np.int64], int]:
        """The same at ascending `positions` (m,) of a float32 vector (d,) alone: int64 (m,) and how many of them saturated."""
        bounds = np.searchsorted(positions, [span.stop for _, span in self.layout.spans()])
        scales = np.repeat(np.array(self.scales), np.diff(bounds, prepend=0))
        rounded = np.rint(value[positions].astype(np.float64) / scales)
        saturated = int(np.count_nonzero(np.abs(rounded) > self.largest))
        return np.clip(rounded, -self.largest, self.largest).astype(np.int64), saturated

    def reals(self, values: NDArray[np.signedinteger]) -> NDArray[np.float64]:
        """Integers, or sums of them, times their scales: float64 (d,)."""
        return dequantise(self.layout, values, self.scales)

    def write(self, values: NDArray[np.int64]) -> bytes:
        """Integers within the grid as `width` bytes each, little-endian."""
        return values.astype(f"<i{self.width}").tobytes()

    def read(self, data: bytes | memoryview, count: int, offset: int) -> Integers:
        """`count` integers from `offset` on; FormatError when one is the most negative integer, which no update holds."""
        values = np.frombuffer(data, f"<i{self.width}", count, offset).astype(self.integers, copy=False)
        if count and int(values.min()) < -self.largest:
            raise FormatError(f"a compressed update holds {int(values.min())}, but values lie between ±{self.largest}")
        return values


def check_length(data: bytes | memoryview, size: int) -> None:
    """FormatError unless a payload has exactly the bytes that the round's spec gives it."""
    if len(data) != size:
        raise FormatError(f"a compressed update of {len(data)} bytes was sent where the round's spec gives {size}")


class Compression(Protocol):
    """A declared way to compress; implementations are tagged structs that stand in a job's spec and keep nothing themselves.

    `seed` (below 2^53) is the round's and public: what looks random is the same for all sites, so that sums and rules make sense.
    """

    def check(self, layout: Layout) -> None:
        """FormatError, with what to use instead, when this compression cannot work on the layout."""
        ...

    def grid(self, grid: Grid) -> Grid:
        """The grid of the integers that are summed: the round's own, unless the sum lives in another domain (rotation)."""
        ...

    def initial(self, layout: Layout) -> State:
        """What a site keeps between rounds, float32 vectors, before its first."""
        ...

    def encode(self, grid: Grid, value: Vector, state: State, seed: int) -> tuple[bytes, State, Measurements]:
        """Canonical bytes for a float32 update (d,), the state for the next round, and what was measured, which stays at the site (R9).

        FormatError when the update is not finite; ProtocolError when the state is not this compression's.
        """
        ...

    def decode(self, grid: Grid, data: bytes | memoryview, seed: int) -> Integers:
        """Dense integers (d',) on `self.grid(grid)`; FormatError for anything malformed."""
        ...

    def limit(self, grid: Grid) -> int:
        """The most bytes a payload can have: the bound for fetching one."""
        ...

    def restore(self, grid: Grid, sums: NDArray[np.signedinteger], seed: int) -> NDArray[np.float64]:
        """The sum of decoded updates, or a rule's result, as reals (d,), not yet divided by the weight."""
        ...
