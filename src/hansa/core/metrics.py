"""Measured values as data, and weighted means that come out the same in whatever order and grouping they are combined."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import msgspec

from hansa.core.errors import FormatError


class Metric(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """One figure: its name, unit ("" for a pure number), labels sorted by name, value."""

    name: str
    unit: str
    labels: tuple[tuple[str, str], ...]
    value: float


def metric(name: str, value: float, unit: str = "", **labels: str) -> Metric:
    """A figure with its labels in order."""
    return Metric(name, unit, tuple(sorted(labels.items())), value)


class Mean(msgspec.Struct, frozen=True):
    """A weighted mean kept as exact sum and count, so that adding is associative and commutative: (a + b) + c == a + (b + c)."""

    total: Fraction = Fraction(0)
    weight: int = 0

    @classmethod
    def of(cls, value: float, weight: int) -> Mean:
        """A mean over `weight` examples; FormatError for a value that is no finite number or a negative weight."""
        if not math.isfinite(value) or weight < 0:
            raise FormatError(f"a mean of {value} over {weight} examples is none; values are finite and weights not negative")
        return cls(Fraction(value) * weight, weight)

    def __add__(self, other: Mean) -> Mean:
        return Mean(self.total + other.total, self.weight + other.weight)

    @property
    def value(self) -> float:
        """The mean rounded once to the nearest float; FormatError over no examples."""
        if self.weight == 0:
            raise FormatError("a mean over no examples has no value")
        return float(self.total / self.weight)


def combine(parts: Iterable[tuple[Metric, int]]) -> list[Metric]:
    """The weighted mean of each (name, unit, labels) over (figure, weight) pairs, sorted; figures of total weight 0 are left out."""
    means: dict[tuple[str, str, tuple[tuple[str, str], ...]], Mean] = {}
    for part, weight in parts:
        key = (part.name, part.unit, part.labels)
        means[key] = means.get(key, Mean()) + Mean.of(part.value, weight)
    return [Metric(*key, mean.value) for key, mean in sorted(means.items()) if mean.weight]
