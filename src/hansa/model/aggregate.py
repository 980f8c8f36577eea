"""The exact weighted sum of updates: what a coordinator publishes and every verifier recomputes to the last bit.

Wire form, little-endian: magic "HNSA", u16 version, u16 bits, u64 total weight, u32 count, u32 zero, 32 bytes layout digest, d int64.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import InitVar, dataclass
from hashlib import sha256
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError, ProtocolError
from hansa.core.types import Digest
from hansa.model.layout import Layout
from hansa.model.sums import weighted_sum
from hansa.model.update import MAX_WEIGHT, SUM_LIMIT, Scales, Update, check_scales, largest

_HEADER = struct.Struct("<4sHHQII32s")
_MAGIC = b"HNSA"

_TOGETHER = 16
"""Updates summed in one pass: the sum, four times as wide, is then read and written once for so many of them."""
_VERSION = 1


@dataclass(frozen=True, eq=False, slots=True)
class Aggregate:
    """sum_i weight_i * values_i as int64 (d,) over `count` updates of `bits` bits, with the total `weight`.

    FormatError when shape, type or count are wrong, or when a sum exceeds what its weight allows: weight * (2^(bits-1) - 1) < 2^62.
    """

    layout: Layout
    scales: Scales
    bits: int
    values: NDArray[np.int64]
    weight: int
    count: int
    bounded: InitVar[bool] = False
    """True where the values are known to keep within their bound because of how they were made."""

    def __post_init__(self, bounded: bool) -> None:
        check_scales(self.layout, self.scales)
        if self.values.dtype != np.int64 or self.values.shape != (self.layout.size,):
            raise FormatError(
                f"an aggregate must be int64 of shape ({self.layout.size},), not {self.values.dtype} of shape {self.values.shape}"
            )
        if not 1 <= self.count <= self.weight <= self.count * MAX_WEIGHT:
            raise FormatError(f"an aggregate of {self.count} updates cannot have total weight {self.weight}")
        bound = self.weight * largest(self.bits)
        if bound >= SUM_LIMIT:
            raise FormatError(
                f"an aggregate of total weight {self.weight} in {self.bits} bits can exceed 2^62; use fewer bits or smaller weights"
            )
        if not bounded and (int(self.values.max()) > bound or int(self.values.min()) < -bound):
            raise FormatError(f"the aggregate holds a sum beyond ±{bound}, which its total weight {self.weight} does not allow")
        view = np.ascontiguousarray(self.values).view()
        view.flags.writeable = False
        object.__setattr__(self, "values", view)

    @classmethod
    def of(cls, updates: Iterable[Update]) -> Aggregate:
        """The sum of one round's updates, exact in every order; ProtocolError when there are none or they do not belong together.

        Updates that are made as they are asked for are let go again: at most `_TOGETHER` of them are held at a time.
        """
        sums: NDArray[np.int64] | None = None
        form: tuple[Layout, Scales, int] | None = None
        weight, count, source = 0, 0, iter(updates)
        while together := list(islice(source, _TOGETHER)):
            form = form or (together[0].layout, together[0].scales, together[0].bits)
            for update in together:
                if (update.layout, update.scales, update.bits) != form:
                    raise ProtocolError("updates of different layouts, scales or widths cannot be summed; take those of one round")
                if (weight + update.weight) * largest(update.bits) >= SUM_LIMIT:
                    raise ProtocolError(f"the sum of more than {count} updates can exceed 2^62; use fewer bits or smaller weights")
                weight, count = weight + update.weight, count + 1
            sums = weighted_sum([update.values for update in together], [update.weight for update in together], sums)
            del together, update
        if form is None or sums is None:
            raise ProtocolError("there is no update to sum; a round without any has no aggregate")
        return cls(*form, sums, weight, count, bounded=True)

    def __add__(self, other: Aggregate) -> Aggregate:
        """The sum over both sets of updates; ProtocolError when they do not belong together."""
        if (self.layout, self.scales, self.bits) != (other.layout, other.scales, other.bits):
            raise ProtocolError("aggregates of different layouts, scales or widths cannot be summed; take those of one round")
        weight, count = self.weight + other.weight, self.count + other.count
        return Aggregate(self.layout, self.scales, self.bits, self.values + other.values, weight, count)

    def encode(self) -> bytes:
        """Canonical bytes: equal exactly when the aggregates are."""
        head = _HEADER.pack(_MAGIC, _VERSION, self.bits, self.weight, self.count, 0, self.layout.digest())
        return head + self.values.astype("<i8", copy=False).tobytes()

    @classmethod
    def decode(cls, data: bytes | memoryview, layout: Layout, scales: Scales, bits: int) -> Aggregate:
        """The aggregate in these bytes, values not copied; FormatError when they are not one of this layout and width."""
        size = _HEADER.size + 8 * layout.size
        if len(data) != size:
            raise FormatError(f"an aggregate of {len(data)} bytes was sent where the layout needs {size}")
        magic, version, found_bits, weight, count, zero, digest = _HEADER.unpack_from(data)
        if (magic, version, zero) != (_MAGIC, _VERSION, 0):
            raise FormatError("the bytes are not an aggregate of this protocol version")
        if (found_bits, digest) != (bits, layout.digest()):
            raise FormatError("the aggregate's bits or layout are not those of the round's spec")
        values = np.frombuffer(data, dtype="<i8", offset=_HEADER.size).astype(np.int64, copy=False)
        return cls(layout, scales, bits, values, weight, count)

    def digest(self) -> Digest:
        """sha256 of the canonical bytes."""
        return Digest(sha256(self.encode()).digest())
