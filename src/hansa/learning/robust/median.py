"""The coordinate-wise median (Yin et al. 2018, arXiv:1803.01498)."""

from __future__ import annotations

from hansa.learning.robust.declared import DeclaredRule, check_rows
from hansa.learning.robust.mixture import Mixture
from hansa.learning.robust.ranks import rank_sum
from hansa.learning.robust.rule import Combined


class Median(DeclaredRule, frozen=True, tag="median"):
    """The middle value at every coordinate; of an even number, the sum of both middle values over a weight of 2, so that no bit is lost.

    Stays within the good rows' range at every coordinate while fewer than half of the rows are bad.
    """

    def check(self, rows: int) -> None:
        check_rows("the median", rows, 1, "a round without updates has no aggregate")

    def combine(self, mixture: Mixture, seed: int) -> Combined:
        middle = range((mixture.size - 1) // 2, mixture.size // 2 + 1)
        return mixture.columnwise(lambda rows, long: rank_sum(rows, middle, long), len(middle), range(mixture.size))
