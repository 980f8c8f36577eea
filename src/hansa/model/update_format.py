"""The bytes of a round's updates: one header for all, then the integers as they are or packed as the round's compression says.

Wire form, little-endian: magic "HNSU", u16 version, u16 bits, u64 job, u32 round, u32 weight, then 32 bytes each of base model, layout,
spec and salted data-set digest, then the payload: without a packing d integers of `bits` bits.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np

from hansa.core.errors import FormatError
from hansa.core.types import Digest
from hansa.model.layout import Layout
from hansa.model.update import MAX_WEIGHT, Integers, Scales, Update, check_scales, largest

VERSION = 1

_HEADER = struct.Struct("<4sHHQII32s32s32s32s")
_MAGIC = b"HNSU"


class Packing(Protocol):
    """How the integers of one round's updates travel."""

    @property
    def limit(self) -> int:
        """Most bytes that a payload can have."""
        ...

    def unpack(self, data: bytes | memoryview) -> Integers:
        """All integers, int16 or int32 (d,); FormatError for whatever its packer would not have written."""
        ...


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
    packing: Packing | None = None

    def __post_init__(self) -> None:
        check_scales(self.layout, self.scales)
        largest(self.bits)
        if len(self.base) != 32 or len(self.spec) != 32 or not 0 < self.max_weight <= MAX_WEIGHT:
            raise FormatError(f"a round's updates need digests of 32 bytes and a greatest weight of 1 to {MAX_WEIGHT}")

    @property
    def limit(self) -> int:
        """Most bytes that an update of this round has, and without a packing exactly those of every one."""
        return _HEADER.size + (self.layout.size * self.bits // 8 if self.packing is None else self.packing.limit)

    def encode(self, update: Update, dataset: Digest, payload: bytes | None = None) -> bytes:
        """The update's bytes, its integers packed in `payload` where the round packs them; FormatError when it is not of this round's
        layout, scales, width or weight."""
        if (update.layout, update.scales, update.bits) != (self.layout, self.scales, self.bits) or update.weight > self.max_weight:
            raise FormatError("the update's layout, scales, bits or weight are not those of the round's spec")
        if len(dataset) != 32:
            raise FormatError(f"a data-set digest has 32 bytes, not {len(dataset)}")
        if (payload is None) != (self.packing is None):
            raise FormatError("a payload is given exactly where the round packs its updates")
        head = (_MAGIC, VERSION, self.bits, self.job, self.round, update.weight, self.base, self.layout.digest(), self.spec, dataset)
        plain = update.values.astype(update.values.dtype.newbyteorder("<"), copy=False).tobytes() if payload is None else payload
        return _HEADER.pack(*head) + plain

    def decode(self, data: bytes | memoryview) -> tuple[UpdateHeader, Update]:
        """Header and update, plain values not copied; FormatError with the first thing that is not as the round expects."""
        if len(data) < _HEADER.size or len(data) > self.limit or (self.packing is None and len(data) != self.limit):
            raise FormatError(f"an update of {len(data)} bytes was sent where the round's layout needs {self.limit}")
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
        return UpdateHeader(job, round, base, layout, spec, dataset, weight, bits), Update(
            self.layout, self.scales, self._values(data), weight
        )

    def _values(self, data: bytes | memoryview) -> Integers:
        if self.packing is not None:
            values = self.packing.unpack(memoryview(data)[_HEADER.size :])
            if 8 * values.dtype.itemsize != self.bits:
                raise FormatError(f"the update's packing gave {values.dtype} where the round has {self.bits} bits")
            return values
        plain = np.frombuffer(data, dtype="<i2" if self.bits == 16 else "<i4", offset=_HEADER.size)
        return plain.astype(plain.dtype.newbyteorder("="), copy=False)


def _shown(value: bytes | int) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
