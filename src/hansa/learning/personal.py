"""Personalised fine-tuning: after the last round a site trains the global model on, for itself alone, and sees whether that helped."""

from __future__ import annotations

from dataclasses import dataclass

from hansa.learning.calls import TrainingSummary
from hansa.learning.local import Placed, evaluate, train
from hansa.learning.metrics import Evaluation
from hansa.learning.strategy import LocalTraining, Start
from hansa.model.architectures import Architecture, Objective
from hansa.model.state import ModelState


@dataclass(frozen=True, slots=True)
class Personal:
    """A site's own model, which is never sent, and the held-out rows before and after."""

    model: ModelState
    before: Evaluation
    after: Evaluation
    summary: TrainingSummary


def personalise(
    architecture: Architecture, objective: Objective, model: ModelState, rows: Placed, held: Placed, local: LocalTraining, seed: int,
    *, only: tuple[str, ...] = (), frozen: ModelState | None = None,
) -> Personal:  # fmt: skip
    """Train `model` on `rows`, all of it or tensors whose names begin with one of `only`, and evaluate both on `held`.

    Under FedBN begin with the site's own: ModelState(base.layout, strategy.start(base, told, kept).weights). Errors as `local.train`.
    """
    before = evaluate(architecture, objective, model, held, frozen=frozen)
    end, summary = train(architecture, objective, Start(model.vector), rows, local, seed, frozen=frozen, only=only)
    tuned = ModelState(model.layout, end.weights)
    return Personal(tuned, before, evaluate(architecture, objective, tuned, held, frozen=frozen), summary)
