"""Few bits per coordinate, with or without rotation: a code times a step that each tensor sends along in units of the grid.

8 and 4 bits: the multiples -127 to 127 and -7 to 7 of the step; 2 bits: -3, -1, 1 and 3 times the step; 1 bit: the sign times the step
(Bernstein et al. 2018, arXiv:1802.04434; with error feedback arXiv:1901.09847). A step of zero makes the tensor zero.

Wire form: the steps of the tensors, unsigned, as wide as the grid's integers; then the codes of all coordinates.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError
from hansa.learning.compression.compression import Grid, check_length
from hansa.learning.compression.feedback import check_decay, encode, initial_error
from hansa.learning.compression.packing import Codes, pack, packed_size, unpack
from hansa.learning.compression.rotation import rotate, rotate_back, rotated_layout
from hansa.model.layout import Layout
from hansa.model.stages import Measurements, State
from hansa.model.state import Vector
from hansa.model.update import Integers

_MOST = {8: 127, 4: 7, 2: 3, 1: 1}
"""The largest multiple of the step, by the number of bits."""

_FINE = 12
"""Bits of a magnitude that the choice of a step looks at: its sums of squares stay below 2^62, and large tensors are one histogram."""

_CANDIDATES = 24
"""Steps tried, each 27/32 of the one before; the last is a fiftieth of what covers the whole range."""


class Quantised(msgspec.Struct, frozen=True, tag="quantised", forbid_unknown_fields=True):
    """`bits` (8, 4, 2 or 1) for each coordinate; with `rotated`, of the rotated vector, whose coordinates are alike in size.

    Below 4 bits training needs error feedback: a `decay` above 0.
    """

    bits: Literal[8, 4, 2, 1] = 8
    rotated: bool = False
    decay: float = 0.0

    def __post_init__(self) -> None:
        if self.bits not in _MOST:
            raise FormatError(f"updates are quantised to 8, 4, 2 or 1 bits, not {self.bits}; without compression they have 16 or 32")
        check_decay(self.decay)

    def check(self, layout: Layout) -> None:
        if self.rotated:
            rotated_layout(layout)

    def grid(self, grid: Grid) -> Grid:
        return Grid(rotated_layout(grid.layout), grid.scales, grid.bits) if self.rotated else grid

    def initial(self, layout: Layout) -> State:
        return initial_error(self, layout)

    def encode(self, grid: Grid, value: Vector, state: State, seed: int) -> tuple[bytes, State, Measurements]:
        return encode(self, grid, value, state, seed)

    def pack(self, grid: Grid, value: Vector, state: State, seed: int) -> tuple[bytes, State, Measurements]:
        """The bytes without error feedback."""
        domain = self.grid(grid)
        values, saturated = domain.round(rotate(grid.layout, value, seed) if self.rotated else value)
        steps = np.empty(len(domain.layout.tensors), np.int64)
        codes = np.empty(values.size, np.uint8)
        for place, (_, span) in enumerate(domain.layout.spans()):
            steps[place] = _step(values[span], self.bits, domain.largest)
            codes[span] = _codes(values[span], int(steps[place]), self.bits)
        payload = steps.astype(f"<u{grid.width}").tobytes() + pack(codes, self.bits)
        return payload, state, {"compression.saturated": saturated / values.size}

    def decode(self, grid: Grid, data: bytes | memoryview, seed: int) -> Integers:
        check_length(data, self.limit(grid))
        domain, most = self.grid(grid), _MOST[self.bits]
        steps = np.frombuffer(data, f"<u{grid.width}", len(domain.layout.tensors))
        if int(steps.max()) * most > domain.largest:
            raise FormatError(
                f"a step of a compressed update is {int(steps.max())}, beyond {domain.largest // most}, the most for {self.bits} bits"
            )
        codes = unpack(data[steps.nbytes :], domain.layout.size, self.bits)
        if self.bits >= 4 and int(codes.max()) > 2 * most:
            raise FormatError(f"a code of a compressed update is {int(codes.max())}, but {self.bits} bits use 0 to {2 * most}")
        dense = np.empty(domain.layout.size, domain.integers)
        for step, (tensor, span) in zip(steps.tolist(), domain.layout.spans(), strict=True):
            np.multiply(_multiples(codes[span], self.bits), step, out=dense[span], dtype=domain.integers)
            if not step and (codes[span] != (most if self.bits >= 4 else 0)).any():
                raise FormatError(f"the tensor {tensor.name} of a compressed update has a step of zero and codes that are not")
        return dense

    def limit(self, grid: Grid) -> int:
        layout = self.grid(grid).layout
        return len(layout.tensors) * grid.width + packed_size(layout.size, self.bits)

    def restore(self, grid: Grid, sums: NDArray[np.signedinteger], seed: int) -> NDArray[np.float64]:
        return rotate_back(grid.layout, grid.scales, sums, seed) if self.rotated else grid.reals(sums)


def _multiples(codes: Codes, bits: int) -> NDArray[np.int16]:
    """What each code multiplies the step by."""
    multiples = codes.astype(np.int16)
    return multiples - _MOST[bits] if bits >= 4 else 2 * multiples - _MOST[bits]


def _codes(values: Integers, step: int, bits: int) -> Codes:
    """The code of the nearest multiple of the step for each value (n,); zero codes mean a tensor of zeros."""
    most = _MOST[bits]
    if not step:
        return np.full(values.size, most if bits >= 4 else 0, np.uint8)
    if bits >= 4:
        return (np.clip(np.rint(values / step), -most, most) + most).astype(np.uint8)
    codes: Codes = np.clip(np.floor(values / (2 * step)) + (most + 1) // 2, 0, most).astype(np.uint8)
    return codes


def _step(values: Integers, bits: int, largest: int) -> int:
    """The step of least squared error among the candidates; for 1 bit the mean magnitude, which is the best."""
    most, magnitudes = _MOST[bits], np.abs(values)
    if bits == 1:
        return (int(magnitudes.sum(dtype=np.int64)) + values.size // 2) // values.size
    highest = int(magnitudes.max())
    shift = max(0, highest.bit_length() - _FINE)
    sizes, counts = (magnitudes >> shift).astype(np.int64), np.ones(1, np.int64)
    if values.size > 1 << _FINE:
        counts = np.bincount(sizes)
        sizes = np.arange(counts.size)
    best, least = 0, int((sizes * sizes * counts).sum())
    for place in range(_CANDIDATES):
        step = min(max(1, -(-highest * 27**place // (most * 32**place))), largest // most)
        errors = np.rint(_nearest(sizes, step / (1 << shift), bits) - sizes).astype(np.int64)
        error = int((errors * errors * counts).sum())
        if error < least:
            best, least = step, error
    return best


def _nearest(sizes: NDArray[np.int64], step: float, bits: int) -> NDArray[np.float64]:
    """The multiple of the step that stands for each magnitude (n,)."""
    if bits >= 4:
        return np.minimum(np.rint(sizes / step), _MOST[bits]) * step
    odd: NDArray[np.float64] = 2 * np.floor(sizes / (2 * step)) + 1
    return np.minimum(odd, _MOST[bits]) * step
