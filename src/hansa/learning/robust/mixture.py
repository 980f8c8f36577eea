"""Rows seen through weights: y_i = sum_j W_ij x_j / c, so that rules stand behind one another without the rows in between being written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import ProtocolError
from hansa.learning.robust.gram import Square, congruence, gram, squared_distances
from hansa.learning.robust.ranks import Reduction
from hansa.learning.robust.rule import FINE, Combined, Rows
from hansa.model.compiled import worth_compiling
from hansa.model.sums import mixed, weighted_sum

MAX_ROWS = (1 << 11) - 1
"""2^11 weights of 2^20 and rows of 32 bits keep every weighted sum below 2^62."""

_LIMIT = 1 << 62
_BLOCK = 1 << 13
"""Columns of mixed rows that exist at a time; 50 rows of them stay in the second-level cache."""


class Mixture:
    """The rows y = W x / c of the rows x (n, d); without weights, x itself. Weights are not negative, no row of W sums to more than c.

    `gram` and `distances` are exact Python integers, c^2 times what they mean: lengths are in units of 1/c.
    """

    def __init__(self, rows: Rows, weights: NDArray[np.int64] | None = None, scale: int = 1, root: Mixture | None = None) -> None:
        self.rows = rows
        self.scale = scale
        self._weights = weights
        self._root = root

    @property
    def size(self) -> int:
        """How many rows y there are."""
        return len(self.rows) if self._weights is None else len(self._weights)

    @cached_property
    def gram(self) -> Square:
        """c^2 y_i . y_j."""
        if self._weights is None or self._root is None:
            return gram(self.rows)
        return congruence(self._weights, self._root.gram)

    @cached_property
    def distances(self) -> Square:
        """c^2 |y_i - y_j|^2."""
        return squared_distances(self.gram)

    def mix(self, weights: Sequence[Sequence[int]], scale: int) -> Mixture:
        """The rows sum_j weights_ij y_j / scale; ProtocolError when so many mixtures of mixtures need more than 62 bits."""
        if self.scale * scale << self._digits >= _LIMIT:
            raise ProtocolError(f"the wrapped rules need more than 62 bits for {len(self.rows)} rows; wrap fewer or use updates of 16 bits")
        outer = np.array(weights, np.int64)
        return Mixture(self.rows, outer if self._weights is None else outer @ self._weights, self.scale * scale, self._root or self)

    def weighted(self, weights: Sequence[int], total: int) -> Combined:
        """sum_i weights_i y_i / total, weights not negative with a sum of at most `total`.

        The denominator is the smallest there is; one beyond 2^20 for each row used is lowered to that, every weight rounded down.
        """
        combined = list(weights)
        if self._weights is not None:
            combined = [sum(map(int.__mul__, combined, column)) for column in self._weights.T.tolist()]
        combined, denominator = settled(combined, total * self.scale)
        used = [i for i, weight in enumerate(combined) if weight]
        left_out = tuple(i for i, weight in enumerate(combined) if not weight)
        if not used:
            return Combined(np.zeros(self.rows.shape[1], np.int64), 1, 1, left_out)
        values = weighted_sum([self.rows[i] for i in used], [combined[i] for i in used])
        return Combined(values, denominator, len(used), left_out)

    def columnwise(self, reduction: Reduction, ranks: int, chosen: Sequence[int]) -> Combined:
        """sum / ranks, where the reduction sums `ranks` values of the `chosen` rows y at every coordinate."""
        long = worth_compiling(self.rows.size)
        if self._weights is None:
            values = reduction([self.rows[i] for i in chosen], long)
            return Combined(values, ranks, ranks, tuple(sorted(set(range(len(self.rows))) - set(chosen))))
        bound = self.scale << self._digits
        if bound * ranks >= _LIMIT:
            raise ProtocolError(f"the rule needs more than 62 bits for {len(self.rows)} mixed rows; wrap fewer or use updates of 16 bits")
        weights, bits = self._weights[list(chosen)], 32 if bound < 1 << 31 else 64
        values = np.empty(self.rows.shape[1], np.int64)
        for start in range(0, values.size, _BLOCK):
            span = slice(start, start + _BLOCK)
            values[span] = reduction(list(mixed([row[span] for row in self.rows], weights, bits, long)), long)
        used = weights.any(axis=0)
        count = min(int(used.sum()), ranks * int(np.count_nonzero(weights, axis=1).min()))
        weight = ranks * self.scale
        # A denominator that says more than an aggregate may weigh loses binary digits, rounded to nearest.
        digits = max(0, (-(-weight // (max(count, 1) << FINE)) - 1).bit_length())
        if weight % (1 << digits):
            raise ProtocolError(f"the wrapped rules give {len(self.rows)} rows too fine a denominator; wrap fewer")
        if digits:
            values = (values + (1 << digits - 1)) >> digits
        return Combined(values, weight >> digits, max(count, 1), tuple(np.flatnonzero(~used).tolist()))

    @property
    def _digits(self) -> int:
        return 8 * self.rows.itemsize - 1


def settled(weights: Sequence[int], total: int) -> tuple[list[int], int]:
    """The same proportions over the smallest denominator, or rounded down to one of 2^20 for each weight that is not zero.

    Weights that fill their total go on doing so, so that an average of equal rows is that row.
    """
    full, settled, denominator = sum(weights) == total, list(weights), total
    while True:
        divisor = math.gcd(denominator, *settled)
        settled, denominator = [weight // divisor for weight in settled], denominator // divisor
        limit = max(sum(map(bool, settled)), 1) << FINE
        if denominator <= limit:
            return settled, denominator
        settled = [weight * limit // total for weight in weights]
        denominator = sum(settled) if full and any(settled) else limit
