"""Attacks that do not hide: the opposite direction, no bound at all, no numbers at all."""

from __future__ import annotations

import numpy as np

from hansa.core.errors import FormatError
from hansa.simulation.attacks.attack import Attack, Matrix, Sight, same


def positive(what: str, value: float) -> None:
    """FormatError unless the value is positive and finite."""
    if not 0 < value < float("inf"):
        raise FormatError(f"{what} is {value}; it must be positive and finite")


class SignFlip(Attack, frozen=True, tag="sign-flip"):
    """-factor times the mean of the honest updates."""

    factor: float = 1.0

    def __post_init__(self) -> None:
        positive("the factor", self.factor)

    def sent(self, sight: Sight) -> Matrix:
        return same(-self.factor * sight.honest.mean(axis=0), sight)


class Unbounded(Attack, frozen=True, tag="unbounded"):
    """Each attacker's own honest update times -factor: without a bound on one update, one site moves the mean anywhere."""

    factor: float = 100.0

    def __post_init__(self) -> None:
        positive("the factor", self.factor)

    def sent(self, sight: Sight) -> Matrix:
        return -self.factor * sight.own


class NotANumber(Attack, frozen=True, tag="nan"):
    """Nothing but NaN: one such row spoils every sum that takes it in."""

    def sent(self, sight: Sight) -> Matrix:
        return np.full_like(sight.own, np.nan)
