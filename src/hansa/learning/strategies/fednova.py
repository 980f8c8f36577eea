"""FedNova (Wang et al. 2020, arXiv:2007.07481): changes are averaged per effective step of their sites."""

from __future__ import annotations

import numpy as np

from hansa.core.errors import FormatError
from hansa.learning.strategy import Declared, End, LocalTraining, Mean, ServerState, Vectors, moved, within
from hansa.model.layout import Layout, Tensor
from hansa.model.state import ModelState, Vector

STEPS = "~steps"


def effective(local: LocalTraining, steps: int) -> float:
    """|a|_1: the sum of the magnitudes with which the gradients of `steps` steps of SGD enter the change, in units of the rate.

    steps for plain SGD, sum_j (1 - momentum^j) / (1 - momentum) with momentum, (1 - (1 - x)^steps) / x with x = rate * proximal; for
    both together, and with weight decay, which pulls like the proximal term, by the recursion of one unit gradient's effect.
    """
    pull = local.rate * (local.proximal + local.decay)
    if not pull and not local.momentum:
        return float(steps)
    velocity, place, total = 1.0, 1.0, 1.0
    for _ in range(1, steps):
        velocity = local.momentum * velocity - pull * place
        place += velocity
        total += abs(place)
    return total


class FedNova(Declared, frozen=True, tag="fednova"):
    """A site sends (w - base) * reach / r and r / reach, with r = local.rate * effective steps; new = base + mean change * mean "~steps".

    `reach` is a typical site's r and only sets the units of the fixed point; a site whose r exceeds `most` times it cannot take part.
    """

    reach: float
    most: float = 16.0

    def __post_init__(self) -> None:
        within("the typical reach", self.reach, 1e-9, 1e9)
        within("the largest reach", self.most, 1, 1e4)
        if self.local.optimiser != "sgd" or self.local.warmup:
            raise FormatError("FedNova normalises the steps of SGD, with or without momentum; use sgd without warmup")

    def travels(self, layout: Layout) -> Layout:
        return Layout((*layout.tensors, Tensor(STEPS, (1,))))

    def bounds(self, layout: Layout, bound: float) -> tuple[float, ...]:
        return (*(bound,) * len(layout.tensors), self.most)

    def step(self, base: ModelState, mean: Mean, state: ServerState) -> tuple[ModelState, ServerState]:
        return moved(base, np.multiply(mean.values[:-1], mean.values[-1])), state

    def finish(self, base: ModelState, told: Vectors, kept: Vectors, end: End) -> tuple[Vector, Vectors]:
        share = self.local.rate * effective(self.local, end.steps) / self.reach
        if share > self.most:
            raise FormatError(f"this site reaches {share:g} times the typical reach, more than the {self.most:g} allowed; train less")
        change = (end.weights - base.vector) / np.float32(share)
        return np.append(change, np.float32(share)), kept
