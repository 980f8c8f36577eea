"""Pre-aggregators: they replace the rows by mixtures of them, on which a rule then stands firmer; each wraps a rule and is one."""

from __future__ import annotations

import hashlib
from math import isqrt

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.robust.bulyan import Bulyan
from hansa.learning.robust.clipping import CentredClipping, NormClipping
from hansa.learning.robust.declared import DeclaredRule, check_majority, check_tolerance
from hansa.learning.robust.geometric_median import GeometricMedian
from hansa.learning.robust.krum import Krum, MultiKrum
from hansa.learning.robust.mean import Mean
from hansa.learning.robust.median import Median
from hansa.learning.robust.mixture import MAX_ROWS, Mixture
from hansa.learning.robust.rule import FINE, Combined
from hansa.learning.robust.trimmed_mean import TrimmedMean


class NearestNeighbourMixing(DeclaredRule, frozen=True, tag="nearest-neighbour-mixing"):
    """y_i = the mean of the n - f rows nearest x_i, itself included, then the rule on y (Allouah et al. 2023, arXiv:2302.01772); n > 2f.

    As many rows come out as go in and f of them may be bad, so the wrapped rule must tolerate the same f.
    """

    f: int
    rule: AnyRule

    def __post_init__(self) -> None:
        check_tolerance(self.f)
        _check_same("nearest-neighbour mixing", self.f, self.rule)

    def check(self, rows: int) -> None:
        check_majority("nearest-neighbour mixing", self.f, rows)
        self.rule.check(rows)

    def combine(self, mixture: Mixture, seed: int) -> Combined:
        count = mixture.size - self.f
        weights = []
        for row in mixture.distances:
            near = set(sorted(range(mixture.size), key=row.__getitem__)[:count])
            weights.append([int(j in near) for j in range(mixture.size)])
        return self.rule.combine(mixture.mix(weights, count), seed)


class Bucketing(DeclaredRule, frozen=True, tag="bucketing"):
    """The means of buckets of `size` rows in a random order, then the rule on them (Karimireddy et al. 2022, arXiv:2006.09365).

    The order is that of sha256(tag, seed, place). A bad row spoils its bucket, so the wrapped rule must tolerate f bad ones among
    ceil(n / size); the last bucket may hold fewer rows.
    """

    size: int
    rule: AnyRule

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MAX_ROWS:
            raise FormatError(f"a bucket holds 1 to {MAX_ROWS} rows, not {self.size}")

    def check(self, rows: int) -> None:
        buckets = -(-rows // self.size)
        try:
            self.rule.check(buckets)
        except ProtocolError as error:
            raise ProtocolError(f"{rows} rows make {buckets} buckets of {self.size}, too few: {error}; or use smaller buckets") from error

    def combine(self, mixture: Mixture, seed: int) -> Combined:
        order = sorted(range(mixture.size), key=lambda i: hashlib.sha256(f"hansa/bucketing/1\n{seed}\n{i}".encode()).digest())
        buckets = [order[start : start + self.size] for start in range(0, mixture.size, self.size)]
        # The last bucket's rows count for more, so that all means have one denominator.
        first, last = len(buckets[0]), len(buckets[-1])
        weights = [[0] * mixture.size for _ in buckets]
        for row, bucket in zip(weights, buckets, strict=True):
            for i in bucket:
                row[i] = 1 if first == last else first * last // len(bucket)
        return self.rule.combine(mixture.mix(weights, first if first == last else first * last), seed)


class AdaptiveClipping(DeclaredRule, frozen=True, tag="adaptive-clipping"):
    """The floor(2f (n - f) / n) longest rows shortened to the next one's length, then the rule (Allouah et al. 2024, arXiv:2405.14432).

    Factors are rounded down to 20 binary digits. n > 2f, and the wrapped rule must tolerate the same f.
    """

    f: int
    rule: AnyRule

    def __post_init__(self) -> None:
        check_tolerance(self.f)
        _check_same("adaptive clipping", self.f, self.rule)

    def check(self, rows: int) -> None:
        check_majority("adaptive clipping", self.f, rows)
        self.rule.check(rows)

    def combine(self, mixture: Mixture, seed: int) -> Combined:
        clipped = 2 * self.f * (mixture.size - self.f) // mixture.size
        if not clipped:
            return self.rule.combine(mixture, seed)
        squares = [mixture.gram[i][i] for i in range(mixture.size)]
        bound = sorted(squares, reverse=True)[clipped]
        factors = [1 << FINE if square <= bound else isqrt((bound << 2 * FINE) // square) for square in squares]
        weights = [[factor if i == j else 0 for j in range(mixture.size)] for i, factor in enumerate(factors)]
        return self.rule.combine(mixture.mix(weights, 1 << FINE), seed)


AnyRule = (
    Mean
    | Median
    | TrimmedMean
    | Krum
    | MultiKrum
    | Bulyan
    | GeometricMedian
    | NormClipping
    | CentredClipping
    | NearestNeighbourMixing
    | Bucketing
    | AdaptiveClipping
)
"""Every rule that a job's specification can declare; the tag says which."""


def _check_same(what: str, f: int, rule: AnyRule) -> None:
    """FormatError unless the wrapped rule, where it has an f, has the same."""
    while isinstance(rule, Bucketing):
        rule = rule.rule
    own = getattr(rule, "f", f)
    if own != f:
        raise FormatError(f"{what} with f={f} wraps a rule with f={own}; as many of the mixed rows may be bad, so give both the same f")
