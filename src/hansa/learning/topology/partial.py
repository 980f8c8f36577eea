"""A partial sum: a mean that nobody has divided yet, so that it can be added to others without rounding."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError, ProtocolError
from hansa.core.types import Digest
from hansa.model.update import SUM_LIMIT

Values = NDArray[np.int64]


def frozen(values: Values, size: int, bound: int, whose: str) -> Values:
    """A read-only view of int64 values of shape (size,) within ±bound; FormatError that says whose they were for anything else."""
    if values.dtype != np.int64 or values.shape != (size,):
        raise FormatError(f"{whose} must be int64 of shape ({size},), not {values.dtype} of shape {values.shape}")
    if size and (int(values.max()) > bound or int(values.min()) < -bound):
        raise FormatError(f"{whose} holds a value beyond ±{bound}, which its weight does not allow")
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view


def digest_of(values: Values, *head: int) -> Digest:
    """sha256 over the integers of `head` (each 0 to 2^64 - 1), the length and the values, little-endian."""
    shape = struct.pack(f"<{len(head)}QQ", *head, len(values))
    return Digest(sha256(shape + values.astype("<i8", copy=False).tobytes()).digest())


@dataclass(frozen=True, eq=False, slots=True)
class Partial:
    """`values` = sum_i w_i x_i, int64 (d,), and `weight` = sum_i w_i, where every |x_i| <= `bound`.

    FormatError when type or range are wrong, or when weight * bound reaches 2^62.
    """

    values: Values
    weight: int
    bound: int

    def __post_init__(self) -> None:
        if self.weight < 1 or self.bound < 1 or self.weight * self.bound >= SUM_LIMIT:
            raise FormatError(f"a partial sum of weight {self.weight} over values up to {self.bound} does not stay below 2^62")
        if self.values.ndim != 1 or not self.values.size:
            raise FormatError(f"a partial sum is a vector of at least one value, not of shape {self.values.shape}")
        checked = frozen(self.values, self.values.size, self.weight * self.bound, "a partial sum")
        object.__setattr__(self, "values", checked)

    def __add__(self, other: Partial) -> Partial:
        """The sum over both; ProtocolError when they do not belong together."""
        if (self.values.shape, self.bound) != (other.values.shape, other.bound):
            raise ProtocolError("partial sums of different lengths or bounds cannot be added; take those of one round")
        return Partial(self.values + other.values, self.weight + other.weight, self.bound)

    def times(self, factor: int) -> Partial:
        """Values and weight multiplied alike: the same mean with more mass; ProtocolError when it would leave 2^62."""
        if factor < 1 or self.weight * factor * self.bound >= SUM_LIMIT:
            raise ProtocolError(f"a partial sum of weight {self.weight} cannot be multiplied by {factor}; divide it first and start anew")
        return Partial(self.values * factor, self.weight * factor, self.bound)

    def mean(self) -> Values:
        """values / weight, to the nearest integer, halves to the even one."""
        quotient, rest = np.divmod(self.values, self.weight)
        rest *= 2
        return np.asarray(quotient + ((rest > self.weight) | ((rest == self.weight) & (quotient % 2 == 1))), np.int64)

    def digest(self) -> Digest:
        """Equal exactly when values, weight and bound are."""
        return digest_of(self.values, self.weight, self.bound)
