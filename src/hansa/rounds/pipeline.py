"""What lies between a site's vector and the server's mean, as the spec declares it: clip, compress or round, sum or combine, restore.

A site's vector is laid out as the strategy says (`travels`); it becomes integers on the round's public grid; a compression may send them in
fewer bytes and may sum them in another domain (`summed`). Everything here is a pure function of the declaration and the public seed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hansa.core.errors import ProtocolError
from hansa.learning.compression.compression import Compression, Grid
from hansa.learning.robust import AnyRule
from hansa.learning.robust.rule import Combined
from hansa.learning.strategy import Mean, Strategy
from hansa.model.aggregate import Aggregate
from hansa.model.layout import Layout
from hansa.model.stages import Clip, Measurements, State
from hansa.model.state import Vector
from hansa.model.update import Integers, Update, largest


@dataclass(frozen=True, slots=True)
class Packed:
    """The packing of one round's updates (see `model.update_format`): a compression on its grid, with the round's public seed."""

    compression: Compression
    grid: Grid
    seed: int

    @property
    def limit(self) -> int:
        return self.compression.limit(self.grid)

    def unpack(self, data: bytes | memoryview) -> Integers:
        return self.compression.decode(self.grid, data, self.seed)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`clip` is the largest Euclidean norm of a site's vector, 0 for none."""

    grid: Grid
    clip: float = 0.0
    compression: Compression | None = None
    rule: AnyRule | None = None

    @classmethod
    def of(
        cls,
        strategy: Strategy,
        model: Layout,
        bound: float,
        bits: int,
        *,
        clip: float,
        compression: Compression | None,
        rule: AnyRule | None,
    ) -> Pipeline:
        """The pipeline of a declaration; FormatError when its parts do not fit together."""
        travels = strategy.travels(model)
        scales = tuple(each / largest(bits) for each in strategy.bounds(model, bound))
        if compression is not None:
            compression.check(travels)
        return cls(Grid(travels, scales, bits), clip, compression, rule)

    @property
    def summed(self) -> Grid:
        """The grid of the integers that are summed."""
        return self.grid if self.compression is None else self.compression.grid(self.grid)

    def packing(self, seed: int) -> Packed | None:
        return None if self.compression is None else Packed(self.compression, self.grid, seed)

    def initial(self) -> State:
        """What a site keeps of its own rounding between rounds (error feedback), before its first."""
        return () if self.compression is None else self.compression.initial(self.grid.layout)

    def encode(self, vector: Vector, weight: int, state: State, seed: int) -> tuple[Update, bytes | None, State, Measurements]:
        """A site's update, its packed bytes where the round packs them, the site's next state and what was measured, which stays there."""
        measured = Measurements()
        if self.clip:
            vector, _, measured = Clip(self.clip).encode(vector, ())
        if self.compression is None:
            values, saturated = self.grid.round(vector)
            measured["quantise.saturated"] = saturated / values.size
            return self.update(values, weight), None, state, measured
        payload, state, more = self.compression.encode(self.grid, vector, state, seed)
        return self.update(self.compression.decode(self.grid, payload, seed), weight), payload, state, measured | more

    def update(self, values: Integers, weight: int) -> Update:
        summed = self.summed
        return Update(summed.layout, summed.scales, values, weight)

    def combine(self, updates: Iterable[Update], seed: int) -> tuple[Aggregate, tuple[int, ...]]:
        """The exact sum, or what the rule makes of the updates in their order, with the places of those that it left out.

        The sum takes updates as they come and holds few of them; a rule compares them and holds them all. ProtocolError when there are
        too few, or when a rule is to combine updates that do not count the same.
        """
        if self.rule is None:
            return Aggregate.of(updates), ()
        updates = list(updates)
        if any(update.weight != 1 for update in updates):
            raise ProtocolError("a robust rule counts every update once; the job's max_weight must be 1")
        self.rule.check(len(updates))
        combined = self.rule.apply(np.stack([update.values for update in updates]), seed)
        return self._aggregate(combined), combined.left_out

    def _aggregate(self, combined: Combined) -> Aggregate:
        summed = self.summed
        return Aggregate(summed.layout, summed.scales, summed.bits, combined.values, combined.weight, combined.count)

    def mean(self, aggregate: Aggregate, seed: int) -> Mean:
        """The aggregate as reals over the travelling layout, divided by its weight: elementwise operations only (R12)."""
        if self.compression is None:
            reals = self.grid.reals(aggregate.values)
        else:
            reals = self.compression.restore(self.grid, aggregate.values, seed)
        return Mean(np.divide(reals, float(aggregate.weight)), aggregate.weight, aggregate.count)
