"""The plain mean: exact, but one bad row moves it anywhere; the baseline that robust rules are compared with."""

from __future__ import annotations

from hansa.learning.robust.declared import DeclaredRule, check_rows
from hansa.learning.robust.mixture import Mixture
from hansa.learning.robust.rule import Combined


class Mean(DeclaredRule, frozen=True, tag="mean"):
    """sum_i x_i / n; tolerates no bad row."""

    def check(self, rows: int) -> None:
        check_rows("the mean", rows, 1, "a round without updates has no aggregate")

    def combine(self, mixture: Mixture, seed: int) -> Combined:
        return mixture.weighted([1] * mixture.size, mixture.size)
