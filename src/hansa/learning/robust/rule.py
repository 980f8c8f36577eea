"""A robust rule: many integer updates in, one weighted combination of them out, whatever a declared number of them hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int16] | NDArray[np.int32]
"""Updates (n, d), C-contiguous, in the order of their clients' ids."""

FINE = 20
"""Binary digits that a weight may have for each row that a rule uses."""


@dataclass(frozen=True, eq=False, slots=True)
class Combined:
    """What a rule makes of a round's rows: the update `values` / `weight`, in the units of the round's scales.

    `values` is int64 (d,) and `weight` their positive common denominator; weight <= 2^20 * count, and |values| <= weight * 2^(bits-1).
    `count` is how many rows the result averages over. `left_out` lists, ascending, the rows that the rule did not use at all; it is
    empty for rules that work coordinate by coordinate.
    """

    values: NDArray[np.int64]
    weight: int
    count: int
    left_out: tuple[int, ...]


class Rule(Protocol):
    """Robust aggregation of the rows of one round, exact and the same for everybody; ties go to the row that comes first."""

    def check(self, rows: int) -> None:
        """ProtocolError, saying what to use instead, unless that many rows suffice."""
        ...

    def apply(self, rows: Rows, seed: int = 0) -> Combined:
        """The combination of `rows`, which are not changed; `seed` is public and the round's own, and only bucketing uses it.

        ProtocolError when `check` fails, FormatError for rows of other types or shapes.
        """
        ...
