"""A site's part in a round, as one call: from the global model, what the site was told and what it kept, to what it sends."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hansa.core.errors import DataError, ProtocolError
from hansa.learning.calls import TrainingSummary
from hansa.learning.examples import Examples
from hansa.learning.local import Placed, evaluate, train
from hansa.learning.strategies import AnyStrategy, Boosting, PartialWidth
from hansa.learning.strategy import Start, Vectors
from hansa.learning.trees import histogram
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
    rows: Placed, seed: int, *, frozen: ModelState | None = None, width: int = 0,
) -> Contribution:  # fmt: skip
    """Start, train and finish as `strategy` says; `kept` is empty in a site's first round. Changes none of its arguments.

    An adapter needs its `frozen` model; `width` is the device's class under partial widths, 0 the whole model. DataError when rows or model
    do not fit the architecture, FormatError when told or kept do not fit the strategy or training diverged.
    """
    if base.layout != layout(architecture):
        raise DataError("the model's layout is not that of the job's architecture")
    if width and not isinstance(strategy, PartialWidth):
        raise ProtocolError("only a job of partial widths has narrow devices; train the whole model, class 0")
    match strategy:
        case Boosting():
            made = _counted(strategy, objective, base, rows)
        case PartialWidth():
            small, places = strategy.cut(width)
            end, summary = train(small, objective, Start(base.vector[places]), rows, strategy.local, seed)
            made = Contribution(strategy.spread(base, width, end.weights - base.vector[places]), kept, summary)
        case _:
            start = strategy.start(base, told, kept)
            end, summary = train(architecture, objective, start, rows, strategy.local, seed, frozen=frozen)
            made = Contribution(*strategy.finish(base, told, kept, end), summary)
    checked(made.sent, strategy.travels(base.layout).size, "what the site sends")
    return made


def _counted(strategy: Boosting, objective: Objective, base: ModelState, rows: Placed) -> Contribution:
    """The histogram for the forest's next level; the loss is the forest's own on these rows."""
    if len(rows.features) > strategy.rows:
        raise DataError(f"the site has {len(rows.features)} rows, but the job takes at most {strategy.rows} of each; leave some out")
    found = evaluate(strategy.trees, objective, base, rows)
    sent = histogram(strategy.trees, base.vector, Examples(rows.features.cpu().numpy(), rows.labels.cpu().numpy()), objective)
    norm = math.sqrt(float(np.square(sent, dtype=np.float64).sum()))
    return Contribution(sent, (), TrainingSummary(1, len(rows.features), found.loss, norm))
