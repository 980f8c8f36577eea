"""An update is integers: local minus global in fixed point, so that sums are exact and the same for everyone who recomputes them.

A coordinate x of a tensor with public scale s is sent as q = clamp(round-half-even(x / s)), |q| <= 2^(bits-1) - 1. The weighted sum of n
updates stays below 2^62 (R12), whatever the order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError, ProtocolError
from hansa.core.types import Digest
from hansa.model.layout import Layout
from hansa.model.state import Vector, checked

MAX_WEIGHT = 1 << 20
SUM_LIMIT = 1 << 62

_MIN_SCALE, _MAX_SCALE = 2.0**-64, 2.0**64
_INTEGERS: dict[int, np.dtype[np.signedinteger]] = {16: np.dtype("<i2"), 32: np.dtype("<i4")}

BLOCK = 1 << 15
"""Values that are rounded at a time."""

Scales = tuple[float, ...]
Integers = NDArray[np.signedinteger]


def largest(bits: int) -> int:
    """The largest magnitude of one value: 2^(bits-1) - 1, symmetric; FormatError unless bits is 16 or 32."""
    if bits not in _INTEGERS:
        raise FormatError(f"updates have 16 or 32 bits, not {bits}")
    return (1 << (bits - 1)) - 1


def _integers(bits: int) -> np.dtype[np.signedinteger]:
    largest(bits)
    return _INTEGERS[bits].newbyteorder("=")


def check_range(count: int, weight: int, bits: int) -> None:
    """Refuse a round whose weighted sum could leave the accumulator: count * weight * (2^(bits-1) - 1) < 2^62 (R12)."""
    if count * weight * largest(bits) >= SUM_LIMIT:
        raise ProtocolError(f"{count} updates of weight up to {weight} in {bits} bits can exceed 2^62; lower one of the three")


def check_scales(layout: Layout, scales: Scales) -> None:
    """One scale per tensor, each finite and between 2^-64 and 2^64; FormatError otherwise."""
    if len(scales) != len(layout.tensors):
        raise FormatError(f"{len(scales)} scales for {len(layout.tensors)} tensors; the round's spec gives one per tensor")
    for tensor, scale in zip(layout.tensors, scales, strict=True):
        if not _MIN_SCALE <= scale <= _MAX_SCALE:
            raise FormatError(f"the scale {scale} of tensor {tensor.name} is not between 2^-64 and 2^64")


def uniform_scales(layout: Layout, bound: float, bits: int = 16) -> Scales:
    """The same scale for every tensor: coordinates up to `bound` in magnitude are sent without saturating, with error at most scale / 2."""
    scales = (bound / largest(bits),) * len(layout.tensors)
    check_scales(layout, scales)
    return scales


def rounded(
    layout: Layout, delta: Vector, scales: Scales, bits: int = 16, buffer: NDArray[np.float64] | None = None
) -> Iterator[tuple[slice, NDArray[np.float64], int]]:
    """The integers of `quantise` block by block: place in the vector, integers as float64, how many of them saturated.

    Blocks fit a core's cache, share one buffer (BLOCK values, the caller's if given) that the next block overwrites, and may be changed.
    """
    check_scales(layout, scales)
    if delta.dtype != np.float32 or delta.shape != (layout.size,):
        checked(delta, layout.size, "an update")
    limit, buffer = largest(bits), np.empty(min(layout.size, BLOCK)) if buffer is None else buffer
    for start, stop, scale in _runs(layout, scales):
        # One cheap look at a whole stretch: far from the limit, nothing in it can saturate; what is not finite fails the comparison too.
        edge = limit * scale * (1 - 2.0**-20)
        inside = bool(-edge <= delta[start:stop].min() and delta[start:stop].max() <= edge)
        for first in range(start, stop, BLOCK):
            place = slice(first, min(first + BLOCK, stop))
            block, saturated = buffer[: place.stop - first], 0
            np.divide(delta[place], scale, out=block, dtype=np.float64)
            np.rint(block, out=block)
            if not inside:
                checked(delta, layout.size, "an update")
                saturated = int(np.count_nonzero(np.abs(block) > limit))
                np.clip(block, -limit, limit, out=block)
            yield place, block, saturated


def _runs(layout: Layout, scales: Scales) -> list[tuple[int, int, float]]:
    """First element, end and scale of each stretch of neighbouring tensors that have one scale."""
    runs: list[tuple[int, int, float]] = []
    for (_, span), scale in zip(layout.spans(), scales, strict=True):
        if runs and runs[-1][2] == scale:
            runs[-1] = (runs[-1][0], span.stop, scale)
        else:
            runs.append((span.start, span.stop, scale))
    return runs


def quantise(layout: Layout, delta: Vector, scales: Scales, bits: int = 16) -> tuple[Integers, int]:
    """Fixed-point form of a float32 vector (d,) and the number of coordinates that saturated; FormatError when it is not finite."""
    values, saturated = np.empty(layout.size, _integers(bits)), 0
    for place, block, count in rounded(layout, delta, scales, bits):
        values[place] = block
        saturated += count
    return values, saturated


def dequantise(layout: Layout, values: Integers, scales: Scales) -> NDArray[np.float64]:
    """values * scale per tensor, float64 (d,); one conversion and one multiplication per coordinate (R12)."""
    check_scales(layout, scales)
    if values.dtype.kind != "i" or values.shape != (layout.size,):
        raise FormatError(f"an update must be integers of shape ({layout.size},), not {values.dtype} of shape {values.shape}")
    reals = values.astype(np.float64)
    for (_, span), scale in zip(layout.spans(), scales, strict=True):
        np.multiply(reals[span], scale, out=reals[span])
    return reals


@dataclass(frozen=True, eq=False, slots=True)
class Update:
    """A trainer's contribution: `values` int16 or int32 (d,), in units of the round's `scales`, counting `weight` times (1 to 2^20).

    FormatError when shape, type, range, scales or weight are wrong.
    """

    layout: Layout
    scales: Scales
    values: Integers
    weight: int

    def __post_init__(self) -> None:
        check_scales(self.layout, self.scales)
        shape = (self.layout.size,)
        if self.values.dtype not in (np.int16, np.int32) or self.values.shape != shape:
            raise FormatError(f"an update must be int16 or int32 of shape {shape}, not {self.values.dtype} of shape {self.values.shape}")
        if not 1 <= self.weight <= MAX_WEIGHT:
            raise FormatError(f"an update's weight is 1 to {MAX_WEIGHT}, not {self.weight}")
        # The most negative integer is refused: with a symmetric range a negated update is an update, and |q| needs no wider type.
        if int(self.values.min()) < -largest(self.bits):
            raise FormatError(f"an update's values lie between ±{largest(self.bits)}, but {int(self.values.min())} was sent")
        view = np.ascontiguousarray(self.values).view()
        view.flags.writeable = False
        object.__setattr__(self, "values", view)

    @property
    def bits(self) -> int:
        return 8 * self.values.dtype.itemsize

    def weighted(self) -> NDArray[np.int64]:
        """weight * values, int64 (d,)."""
        return np.multiply(self.values, self.weight, dtype=np.int64)

    def digest(self) -> Digest:
        """sha256 over layout digest, scales, bits, weight and values: equal exactly when the contributions are."""
        head = struct.pack(f"<{len(self.scales)}dHI", *self.scales, self.bits, self.weight)
        return Digest(sha256(b"".join([self.layout.digest(), head, self.values.astype(_INTEGERS[self.bits], copy=False).data])).digest())
