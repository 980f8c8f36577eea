"""A site's part in a round, as one call: from the global model, what the site was told and what it kept, to what it sends."""

from __future__ import annotations

from dataclasses import dataclass

from hansa.core.errors import DataError
from hansa.learning.calls import TrainingSummary
from hansa.learning.local import Placed, train
from hansa.learning.strategies import AnyStrategy
from hansa.learning.strategy import Vectors
from hansa.model.architectures import Architecture, Objective, layout
from hansa.model.state import ModelState, Vector, checked


@dataclass(frozen=True, eq=False, slots=True)
class Contribution:
    """What a site sends, float32 over `strategy.travels(layout)`; what it keeps for its next round; what its training saw."""

    sent: Vector
    kept: Vectors
    summary: TrainingSummary


def contribute(
    strategy: AnyStrategy, architecture: Architecture, objective: Objective, base: ModelState, told: Vectors, kept: Vectors,
    rows: Placed, seed: int,
) -> Contribution:  # fmt: skip
    """Start, train and finish as `strategy` says; `kept` is empty in a site's first round. Changes none of its arguments.

    DataError when rows or model do not fit the architecture, FormatError when told or kept do not fit the strategy or training diverged.
    """
    if base.layout != layout(architecture):
        raise DataError("the model's layout is not that of the job's architecture")
    start = strategy.start(base, told, kept)
    end, summary = train(architecture, objective, start, rows, strategy.local, seed)
    sent, keeps = strategy.finish(base, told, kept, end)
    return Contribution(checked(sent, strategy.travels(base.layout).size, "what the site sends"), keeps, summary)
