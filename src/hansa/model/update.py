"""An update is integers: local minus global in fixed point, so that sums are exact and the same for everyone who recomputes them.

A coordinate x of a tensor with public scale s is sent as q = clamp(round-half-even(x / s)), |q| <= 2^(bits-1) - 1. The weighted sum of n
updates stays below 2^62 (R12), whatever the order.

Wire form, little-endian: magic "HNSU", u16 version, u16 bits, u64 job, u32 round, u32 weight, then 32 bytes each of base model, layout,
spec and salted data-set digest, then d integers of `bits` bits.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha256

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError, ProtocolError
from hansa.core.types import Digest
from hansa.model.layout import Layout
from hansa.model.state import Vector, checked

MAX_WEIGHT = 1 << 20
SUM_LIMIT = 1 << 62
VERSION = 1

_MIN_SCALE, _MAX_SCALE = 2.0**-64, 2.0**64
_INTEGERS: dict[int, np.dtype[np.signedinteger]] = {16: np.dtype("<i2"), 32: np.dtype("<i4")}
_HEADER = struct.Struct("<4sHHQII32s32s32s32s")
_MAGIC = b"HNSU"

Scales = tuple[float, ...]
Integers = NDArray[np.signedinteger]


def largest(bits: int) -> int:
    """The largest magnitude of one value: 2^(bits-1) - 1, symmetric; FormatError unless bits is 16 or 32."""
    if bits not in _INTEGERS:
        raise FormatError(f"updates have 16 or 32 bits, not {bits}")
    return (1 << (bits - 1)) - 1


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


def quantise(layout: Layout, delta: Vector, scales: Scales, bits: int = 16) -> tuple[Integers, int]:
    """Fixed-point form of a float32 vector (d,) and the number of coordinates that saturated; FormatError when it is not finite."""
    check_scales(layout, scales)
    delta, limit = checked(delta, layout.size, "an update"), largest(bits)
    values, saturated = np.empty(layout.size, _INTEGERS[bits].newbyteorder("=")), 0
    for (_, span), scale in zip(layout.spans(), scales, strict=True):
        rounded = np.rint(delta[span].astype(np.float64) / scale)
        saturated += int(np.count_nonzero(np.abs(rounded) > limit))
        values[span] = np.clip(rounded, -limit, limit)
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


class UpdateHeader(msgspec.Struct, frozen=True):
    """What an update says of itself: the round it is for and what it was made from; `dataset` is the salted digest of R17."""

    job: int
    round: int
    base: bytes
    layout: bytes
    spec: bytes
    dataset: bytes
    weight: int
    bits: int


@dataclass(frozen=True, slots=True)
class UpdateFormat:
    """The bytes of one round's updates: everything here comes from ledger and spec, nothing from the sender."""

    job: int
    round: int
    base: Digest
    spec: Digest
    layout: Layout
    scales: Scales
    bits: int = 16
    max_weight: int = MAX_WEIGHT

    def __post_init__(self) -> None:
        check_scales(self.layout, self.scales)
        largest(self.bits)
        if len(self.base) != 32 or len(self.spec) != 32 or not 0 < self.max_weight <= MAX_WEIGHT:
            raise FormatError(f"a round's updates need digests of 32 bytes and a greatest weight of 1 to {MAX_WEIGHT}")

    @property
    def size(self) -> int:
        """Exact length in bytes of every update of this round; usable as limit when fetching."""
        return _HEADER.size + self.layout.size * self.bits // 8

    def encode(self, update: Update, dataset: Digest) -> bytes:
        """The update's bytes; FormatError when it is not of this round's layout, scales, width or weight."""
        if (update.layout, update.scales, update.bits) != (self.layout, self.scales, self.bits) or update.weight > self.max_weight:
            raise FormatError("the update's layout, scales, bits or weight are not those of the round's spec")
        if len(dataset) != 32:
            raise FormatError(f"a data-set digest has 32 bytes, not {len(dataset)}")
        head = (_MAGIC, VERSION, self.bits, self.job, self.round, update.weight, self.base, self.layout.digest(), self.spec, dataset)
        return _HEADER.pack(*head) + update.values.astype(_INTEGERS[self.bits], copy=False).tobytes()

    def decode(self, data: bytes | memoryview) -> tuple[UpdateHeader, Update]:
        """Header and update, values not copied; FormatError with the first thing that is not as the round expects."""
        if len(data) != self.size:
            raise FormatError(f"an update of {len(data)} bytes was sent where the round's layout needs {self.size}")
        magic, version, bits, job, round, weight, base, layout, spec, dataset = _HEADER.unpack_from(data)
        expectations: tuple[tuple[str, bytes | int, bytes | int], ...] = (
            ("format", magic, _MAGIC),
            ("format version", version, VERSION),
            ("bits", bits, self.bits),
            ("job", job, self.job),
            ("round", round, self.round),
            ("base model", base, self.base),
            ("layout", layout, self.layout.digest()),
            ("spec", spec, self.spec),
        )
        for what, found, expected in expectations:
            if found != expected:
                raise FormatError(f"the update's {what} is {_shown(found)}, but this round expects {_shown(expected)}")
        if not 1 <= weight <= self.max_weight:
            raise FormatError(f"the update's weight is {weight}, but this round allows 1 to {self.max_weight}")
        values = np.frombuffer(data, dtype=_INTEGERS[bits], offset=_HEADER.size)
        update = Update(self.layout, self.scales, values.astype(values.dtype.newbyteorder("="), copy=False), weight)
        return UpdateHeader(job, round, base, layout, spec, dataset, weight, bits), update


def _shown(value: bytes | int) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
