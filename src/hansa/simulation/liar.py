"""A coordinator that lies about one coordinate of the sum in one round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hansa.model.aggregate import Aggregate
from hansa.node.coordinator import CoordinatorNode
from hansa.node.node import Parts
from hansa.rounds.assemble import Outcome, Standing, step
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted
from hansa.rounds.spec import JobSpec


class LyingCoordinator(CoordinatorNode):
    """Honest until round `lie`, when it moves the last coordinate of the sum by one unit and builds the next model on that."""

    def __init__(self, parts: Parts, lie: int) -> None:
        super().__init__(parts)
        self._lie = lie

    def result(self, spec: JobSpec, job: JobState, before: Standing, accepted: Sequence[Accepted], blobs: Mapping[bytes, bytes]) -> Outcome:
        """The honest result, but for one coordinate in one round; everything else about the anchor is consistent."""
        made = super().result(spec, job, before, accepted, blobs)
        if job.round != self._lie:
            return made
        summed = spec.pipeline.summed
        honest = Aggregate.decode(made.aggregate, summed.layout, summed.scales, summed.bits)
        values = np.array(honest.values)
        values[-1] += 1 if values[-1] < 0 else -1
        false = Aggregate(honest.layout, honest.scales, honest.bits, values, honest.weight, honest.count)
        model, server = step(spec, before, false, job.round)
        return Outcome(false.encode(), model, made.credits, server, made.left_out)
