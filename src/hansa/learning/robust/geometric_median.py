"""The geometric median by Weiszfeld's iteration (Pillutla et al. 2022, arXiv:1912.13445), in integers."""

from __future__ import annotations

from math import isqrt

from hansa.core.errors import FormatError
from hansa.learning.robust.declared import DeclaredRule, check_majority, check_tolerance
from hansa.learning.robust.gram import Square
from hansa.learning.robust.mixture import Mixture
from hansa.learning.robust.rule import Combined

MAX_ITERATIONS = 200

_DIGITS = 40
"""Binary digits of weights and of inverse distances while they are iterated."""


def squared_lengths(gram: Square, weights: list[int], total: int) -> list[int]:
    """total^2 |y_i - z|^2 for every row, z = sum_j weights_j y_j / total; exact, and so never negative."""
    products = [sum(map(int.__mul__, row, weights)) for row in gram]
    own = sum(map(int.__mul__, products, weights))
    return [total * (total * gram[i][i] - 2 * product) + own for i, product in enumerate(products)]


class GeometricMedian(DeclaredRule, frozen=True, tag="geometric-median"):
    """The point of least summed distance to the rows, approached from zero: z <- sum_i w_i x_i / sum_i w_i, w_i = 1 / max(1, |x_i - z|).

    One quantisation step is the smoothing; weights are rounded down to 40 binary digits in every iteration. n > 2f.
    """

    f: int
    iterations: int

    def __post_init__(self) -> None:
        check_tolerance(self.f)
        if not 1 <= self.iterations <= MAX_ITERATIONS:
            raise FormatError(f"the geometric median takes 1 to {MAX_ITERATIONS} iterations, not {self.iterations}; 8 to 20 are usual")

    def check(self, rows: int) -> None:
        check_majority("the geometric median", self.f, rows)

    def combine(self, mixture: Mixture, seed: int) -> Combined:
        weights, total = [0] * mixture.size, 1
        for _ in range(self.iterations):
            step = total * mixture.scale
            lengths = [max(isqrt(square), step) for square in squared_lengths(mixture.gram, weights, total)]
            longest = max(lengths) << _DIGITS
            inverses = [longest // length for length in lengths]
            everything = sum(inverses)
            weights = [(inverse << _DIGITS) // everything for inverse in inverses]
            total = sum(weights)
        return mixture.weighted(weights, total)
