"""What a round's clients sent, gathered as the pipeline says: an exact running sum, or all of it where a robust rule needs that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import ProtocolError
from hansa.learning.robust import remaining
from hansa.model.aggregate import Aggregate
from hansa.model.stages import Clip, State
from hansa.model.state import Vector, checked
from hansa.model.update import BLOCK, MAX_WEIGHT, SUM_LIMIT, Update, largest, rounded
from hansa.rounds.pipeline import Pipeline

_MOST, _BYTES = 16, 1 << 22
"""Vectors that wait to be added together, or bytes of them."""

_EXACT = 1 << 53
"""Below this, float64 holds every integer, and adds faster than int64 does what comes out of the rounding."""


class Gathering:
    """Takes clients' vectors one by one, in any order and by several processes; the outcome is the same to the last bit (R12)."""

    def __init__(self, pipeline: Pipeline, seed: int) -> None:
        """`seed` is the round's, public."""
        self._pipeline, self._seed = pipeline, seed
        self._updates: dict[int, Update] = {}
        self._waiting: list[tuple[Vector, int]] = []
        self._sums: NDArray[Any] = np.zeros(0 if pipeline.rule is not None else pipeline.summed.layout.size)
        self.weight = 0
        self.count = 0

    def add(self, place: int, vector: Vector, weight: int, state: State) -> State:
        """Take in the vector of the cohort's client at `place`, float32 over the travelling layout; the client's next state comes back.

        FormatError when the vector is not finite.
        """
        pipeline = self._pipeline
        if pipeline.compression is None and pipeline.rule is None:
            if pipeline.clip:
                vector = Clip(pipeline.clip).encode(vector, ())[0]
            vector = checked(vector, pipeline.grid.layout.size, "an update")
            self._count(weight)
            self._waiting.append((vector, weight))
            if len(self._waiting) == _MOST or len(self._waiting) * vector.nbytes >= _BYTES:
                self._flush()
            return state
        update, _, state, _ = pipeline.encode(vector, weight, state, self._seed)
        if pipeline.rule is not None:
            self._updates[place] = update
            self.weight, self.count = self.weight + weight, self.count + 1
        else:
            self._count(weight)
            self._into(slice(None), update.weighted())
        return state

    def refuse(self, count: int) -> None:
        """So many clients sent what is no update: they are left out and count among those that the rule tolerates."""
        if self._pipeline.rule is not None:
            self._pipeline = replace(self._pipeline, rule=remaining(self._pipeline.rule, count))

    def _flush(self) -> None:
        """Add the waiting vectors block by block, so that a block of the sums is fetched and stored once for all of them."""
        grid, waiting, self._waiting = self._pipeline.grid, self._waiting, []
        buffer = np.empty(min(grid.layout.size, BLOCK))
        several = [(rounded(grid.layout, vector, grid.scales, grid.bits, buffer), weight) for vector, weight in waiting]
        while several:
            for blocks, weight in several:
                found = next(blocks, None)
                if found is None:
                    return
                where, block, _ = found
                if weight != 1:
                    np.multiply(block, weight, out=block)
                self._into(where, block)

    def _count(self, weight: int) -> None:
        if not 1 <= weight <= MAX_WEIGHT:
            raise ProtocolError(f"a client counts {weight} times; a weight is 1 to {MAX_WEIGHT}")
        self.weight, self.count = self.weight + weight, self.count + 1
        most = self.weight * largest(self._pipeline.grid.bits)
        if most >= SUM_LIMIT:
            raise ProtocolError(f"the sum over {self.count} clients can exceed 2^62; use fewer bits or weights")
        if most >= _EXACT and self._sums.dtype != np.int64:
            self._sums = self._sums.astype(np.int64)

    def _into(self, where: slice, values: NDArray[Any]) -> None:
        np.add(self._sums[where], values.astype(self._sums.dtype, copy=False), out=self._sums[where])

    def aggregate(self) -> tuple[Aggregate, tuple[int, ...]]:
        """The sum or the rule's outcome, and the places in the cohort that the rule left out; ProtocolError when there are too few."""
        summed = self._pipeline.summed
        self._flush()
        if self._pipeline.rule is None:
            if not self.count:
                raise ProtocolError("no client took part; a round without any has no aggregate")
            return Aggregate(summed.layout, summed.scales, summed.bits, self._sums.astype(np.int64), self.weight, self.count), ()
        places = sorted(self._updates)
        aggregate, left_out = self._pipeline.combine([self._updates[place] for place in places], self._seed)
        return aggregate, tuple(places[number] for number in left_out)

    def pack(self) -> tuple[list[int], NDArray[Any]]:
        """Weights by place and rows of integers where there is a rule, else total weight and count and the sums: for another process."""
        if self._pipeline.rule is None:
            self._flush()
            # Half the bytes for another process where they suffice.
            small = self.weight * largest(self._pipeline.grid.bits) < 1 << 31
            return [self.weight, self.count], self._sums.astype(np.int32 if small else np.int64)
        places = sorted(self._updates)
        return places, np.stack([self._updates[place].values for place in places])

    def merge(self, head: list[int], values: NDArray[Any]) -> None:
        """Take in what another process packed."""
        if self._pipeline.rule is not None:
            for place, row in zip(head, values.reshape(len(head), -1), strict=True):
                self._updates[place] = self._pipeline.update(row, 1)
            self.weight, self.count = self.weight + len(head), self.count + len(head)
            return
        weight, count = head
        self.weight, self.count = self.weight + weight, self.count + count
        self._flush()
        if self.weight * largest(self._pipeline.grid.bits) >= _EXACT:
            self._sums = self._sums.astype(np.int64, copy=False)
        self._into(slice(None), values)
