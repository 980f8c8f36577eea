"""Attacks that hide among the honest: all attackers agree on one vector that the honest updates make hard to tell from their own."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError
from hansa.simulation.attacks.attack import Attack, Matrix, Sight, same, spread
from hansa.simulation.attacks.crude import positive


class Alie(Attack, frozen=True, tag="alie"):
    """A little is enough (Baruch et al. 2019, arXiv:1902.06156): mean - z * standard deviation of the honest, per coordinate.

    With `deviations` 0 z is the largest that still hides: the quantile of the normal distribution at (n - floor(n/2 + 1)) / (n - f).
    """

    deviations: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.deviations < float("inf"):
            raise FormatError(f"ALIE's number of deviations is {self.deviations}; it must be at least 0 and finite")

    def z(self, sight: Sight) -> float:
        """How many standard deviations the attackers move; 0 when so few attackers cannot hide at all."""
        if self.deviations:
            return self.deviations
        share = (sight.total - (sight.total // 2 + 1)) / len(sight.honest)
        return max(0.0, NormalDist().inv_cdf(share)) if 0 < share < 1 else 0.0

    def sent(self, sight: Sight) -> Matrix:
        return same(sight.honest.mean(axis=0) - self.z(sight) * spread(sight), sight)


class InnerProduct(Attack, frozen=True, tag="inner-product"):
    """Fall of empires (Xie et al. 2020, arXiv:1903.03936): -factor times the honest mean, small enough to pass a test of norms."""

    factor: float = 2.0

    def __post_init__(self) -> None:
        positive("the factor", self.factor)

    def sent(self, sight: Sight) -> Matrix:
        return same(-self.factor * sight.honest.mean(axis=0), sight)


def _direction(sight: Sight) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Honest mean, the unit direction against the spread, and per honest row <mean - x, p> and |mean - x|^2."""
    mean, deviation = sight.honest.mean(axis=0), spread(sight)
    length = float(np.linalg.norm(deviation))
    unit = -deviation / length if length else np.zeros_like(mean)
    apart = mean - sight.honest
    return mean, unit, apart @ unit, np.square(apart).sum(axis=1)


def _square_distances(rows: Matrix) -> Matrix:
    gram = rows @ rows.T
    norms = np.diag(gram)
    return np.maximum(norms[:, None] + norms - 2 * gram, 0)


class MinMax(Attack, frozen=True, tag="min-max"):
    """As far against the spread as possible with no honest update farther away than the farthest two honest ones are from each other
    (Shejwalkar and Houmansadr, NDSS 2021); the largest step solves a quadratic, so nothing is searched."""

    def sent(self, sight: Sight) -> Matrix:
        mean, unit, along, square = _direction(sight)
        limit = _square_distances(sight.honest).max()
        step = float(np.min(-along + np.sqrt(np.maximum(along**2 - square + limit, 0))))
        return same(mean + step * unit, sight)


class MinSum(Attack, frozen=True, tag="min-sum"):
    """The same with sums: the squared distances to all honest updates add up to at most the largest such sum of an honest one."""

    def sent(self, sight: Sight) -> Matrix:
        mean, unit, along, square = _direction(sight)
        count, limit = len(sight.honest), _square_distances(sight.honest).sum(axis=1).max()
        total = float(along.sum())
        step = (-total + float(np.sqrt(max(total**2 - count * (float(square.sum()) - limit), 0.0)))) / count
        return same(mean + step * unit, sight)
