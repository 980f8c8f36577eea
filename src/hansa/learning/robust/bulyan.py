"""Bulyan (El Mhamdi et al. 2018, arXiv:1802.07927): rows chosen one by one with Krum, then the values nearest their median."""

from __future__ import annotations

from bisect import bisect_left

from hansa.learning.robust.declared import DeclaredRule, check_rows, check_tolerance
from hansa.learning.robust.gram import Square
from hansa.learning.robust.mixture import Mixture
from hansa.learning.robust.ranks import nearest_sum
from hansa.learning.robust.rule import Combined


def selection(distances: Square, f: int) -> list[int]:
    """The n - 2f rows that Krum picks one after another, each from the rows not picked yet, ascending.

    Of m rows left, a score sums the max(1, m - f - 2) smallest distances; of equal scores the first row is picked.
    """
    left = {i: sorted(row[:i] + row[i + 1 :]) for i, row in enumerate(distances)}
    picked = []
    for _ in range(len(distances) - 2 * f):
        near = max(1, len(left) - f - 2)
        best = min(left, key=lambda i: (sum(left[i][:near]), i))
        del left[best]
        picked.append(best)
        for i, others in left.items():
            del others[bisect_left(others, distances[i][best])]
    return sorted(picked)


class Bulyan(DeclaredRule, frozen=True, tag="bulyan"):
    """Recursive selection of n - 2f rows, as in the paper, then at every coordinate the mean of their n - 4f values nearest the median.

    The median of an even number lies halfway between both middle values; of two values equally near, the smaller is taken. n >= 4f + 3.
    """

    f: int

    def __post_init__(self) -> None:
        check_tolerance(self.f)

    def check(self, rows: int) -> None:
        instead = (
            f"lower f to {max(rows - 3, 0) // 4}, or use nearest-neighbour mixing before the trimmed mean, which needs {2 * self.f + 1}"
        )
        check_rows(f"Bulyan with f={self.f}", rows, 4 * self.f + 3, instead)

    def combine(self, mixture: Mixture, seed: int) -> Combined:
        near = mixture.size - 4 * self.f
        chosen = selection(mixture.distances, self.f)
        return mixture.columnwise(lambda rows, long: nearest_sum(rows, near, long), near, chosen)
