"""Rules that shorten long rows before they average: norm clipping and centred clipping, in integers."""

from __future__ import annotations

from math import isqrt

from hansa.core.errors import FormatError
from hansa.learning.robust.declared import DeclaredRule, check_majority, check_rows, check_tolerance
from hansa.learning.robust.geometric_median import MAX_ITERATIONS, squared_lengths
from hansa.learning.robust.mixture import Mixture
from hansa.learning.robust.rule import FINE, Combined

MAX_BOUND = 1 << 48
"""No row of 2^34 coordinates of 31 bits is longer."""

_DIGITS = 40


def shortening(bound: int, square: int, digits: int) -> int:
    """min(1, bound / sqrt(square)) with so many binary digits, rounded down."""
    return 1 << digits if square <= bound * bound else isqrt((bound * bound << 2 * digits) // square)


def _check_bound(bound: int) -> None:
    if not 1 <= bound <= MAX_BOUND:
        raise FormatError(f"a clipping bound is a length in quantisation steps, 1 to 2^48, not {bound}; divide the length by the scale")


class NormClipping(DeclaredRule, frozen=True, tag="norm-clipping"):
    """mean_i(x_i min(1, bound / |x_i|)): no row moves the mean by more than bound / n; `bound` is in quantisation steps."""

    bound: int

    def __post_init__(self) -> None:
        _check_bound(self.bound)

    def check(self, rows: int) -> None:
        check_rows("norm clipping", rows, 1, "a round without updates has no aggregate")

    def combine(self, mixture: Mixture, seed: int) -> Combined:
        bound = self.bound * mixture.scale
        weights = [shortening(bound, mixture.gram[i][i], FINE) for i in range(mixture.size)]
        return mixture.weighted(weights, mixture.size << FINE)


class CentredClipping(DeclaredRule, frozen=True, tag="centred-clipping"):
    """v <- v + mean_i((x_i - v) min(1, bound / |x_i - v|)) from v = 0 (Karimireddy et al. 2021, arXiv:2012.10333); n > 2f.

    Zero is the last model, since rows are updates to it. `bound` is in quantisation steps; weights are rounded down to 40 binary digits
    in every iteration.
    """

    f: int
    bound: int
    iterations: int

    def __post_init__(self) -> None:
        check_tolerance(self.f)
        _check_bound(self.bound)
        if not 1 <= self.iterations <= MAX_ITERATIONS:
            raise FormatError(f"centred clipping takes 1 to {MAX_ITERATIONS} iterations, not {self.iterations}; 1 to 5 are usual")

    def check(self, rows: int) -> None:
        check_majority("centred clipping", self.f, rows)

    def combine(self, mixture: Mixture, seed: int) -> Combined:
        total = mixture.size << _DIGITS
        bound = self.bound * mixture.scale * total
        weights = [0] * mixture.size
        for _ in range(self.iterations):
            factors = [shortening(bound, square, _DIGITS) for square in squared_lengths(mixture.gram, weights, total)]
            kept = total - sum(factors)
            weights = [weight * kept // total + factor for weight, factor in zip(weights, factors, strict=True)]
        return mixture.weighted(weights, total)
