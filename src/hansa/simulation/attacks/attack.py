"""What an attack is: a change of the dishonest sites' rows before they train, of what they send afterwards, or of both.

The attackers are assumed to know everything: the honest updates of the round, what the server did before, and each other. That is more
than they could know in a real network; a rule that holds against them holds against less.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import DataError
from hansa.learning.examples import Examples

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Sight:
    """What the attackers see in one round: the honest updates (h, d), what they themselves would have sent honestly (m, d), the last
    change of the global model (d,), zero in the first round, and a public seed for what they draw."""

    honest: Matrix
    own: Matrix
    previous: NDArray[np.float64]
    seed: int = 0

    def __post_init__(self) -> None:
        size = self.previous.shape[-1]
        if self.honest.shape[1:] != (size,) or self.own.shape[1:] != (size,) or not len(self.honest) or not len(self.own):
            raise DataError(
                f"attackers see matrices of the same width with at least one row, not {self.honest.shape}, {self.own.shape} and ({size},)"
            )

    @property
    def total(self) -> int:
        """n, all sites of the round."""
        return len(self.honest) + len(self.own)


class Attack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of all attacks: alone it changes nothing. Both functions leave their arguments as they are."""

    def rows(self, rows: Examples, seed: int) -> Examples:
        """What a dishonest site trains on."""
        return rows

    def sent(self, sight: Sight) -> Matrix:
        """What the dishonest sites send, (m, d); need not be finite."""
        return sight.own


def same(row: NDArray[np.float64], sight: Sight) -> Matrix:
    """Every attacker sends the same."""
    return np.tile(row, (len(sight.own), 1))


def spread(sight: Sight) -> NDArray[np.float64]:
    """Per coordinate, the standard deviation of the honest updates (h - 1 in the denominator), zero for a single one."""
    return sight.honest.std(axis=0, ddof=1) if len(sight.honest) > 1 else np.zeros_like(sight.previous)
