"""The coordinate-wise trimmed mean (Yin et al. 2018, arXiv:1803.01498)."""

from __future__ import annotations

from hansa.learning.robust.declared import DeclaredRule, check_majority, check_tolerance
from hansa.learning.robust.mixture import Mixture
from hansa.learning.robust.ranks import rank_sum
from hansa.learning.robust.rule import Combined


class TrimmedMean(DeclaredRule, frozen=True, tag="trimmed-mean"):
    """At every coordinate the mean of what is left without the f smallest and the f largest values; n > 2f."""

    f: int

    def __post_init__(self) -> None:
        check_tolerance(self.f)

    def check(self, rows: int) -> None:
        check_majority("the trimmed mean", self.f, rows)

    def combine(self, mixture: Mixture, seed: int) -> Combined:
        kept = range(self.f, mixture.size - self.f)
        return mixture.columnwise(lambda rows, long: rank_sum(rows, kept, long), len(kept), range(mixture.size))
