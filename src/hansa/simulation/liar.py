"""A coordinator that lies about one coordinate of the sum in one round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hansa.core.types import Address, Wei
from hansa.learning.strategy import mean_of
from hansa.model import codec
from hansa.model.aggregate import Aggregate
from hansa.model.state import ModelState
from hansa.node.coordinator import CoordinatorNode
from hansa.node.node import Parts
from hansa.rounds.assemble import Outcome
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted
from hansa.rounds.spec import JobSpec


class LyingCoordinator(CoordinatorNode):
    """Honest until round `lie`, when it moves the last coordinate of the sum by one unit and builds the next model on that."""

    def __init__(self, parts: Parts, lie: int) -> None:
        super().__init__(parts)
        self._lie = lie

    def result(
        self, spec: JobSpec, job: JobState, base: ModelState, accepted: Sequence[Accepted], blobs: Mapping[bytes, bytes],
        before: Mapping[Address, Wei],
    ) -> Outcome:  # fmt: skip
        """The honest result, but for one coordinate in one round; everything else about the anchor is consistent."""
        made = super().result(spec, job, base, accepted, blobs, before)
        if job.round != self._lie:
            return made
        honest = Aggregate.decode(made.aggregate, spec.layout, spec.scales, spec.bits)
        values = np.array(honest.values)
        values[-1] += 1 if values[-1] < 0 else -1
        false = Aggregate(honest.layout, honest.scales, honest.bits, values, honest.weight, honest.count)
        model, _ = spec.strategy.step(base, mean_of(false), spec.strategy.init(base))
        return Outcome(false.encode(), codec.encode(model), made.credits)
