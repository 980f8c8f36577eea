"""Two sites whose loss is a quadratic in three weights, with its gradient by hand, and rounds played over them in float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from msgspec.structs import replace

from hansa.learning.examples import Examples
from hansa.learning.local import place
from hansa.learning.site import contribute
from hansa.learning.strategies import AnyStrategy
from hansa.learning.strategy import LocalTraining, Mean, Vectors
from hansa.model.architectures import Linear, Objective, initial

MODEL = Linear(2)
RANDOM = np.random.Generator(np.random.PCG64(21))
SITES = [
    Examples(features := RANDOM.standard_normal((rows, 2)).astype(np.float32), (features @ slope + 1).astype(np.float32))
    for rows, slope in ((6, np.array([1, -1], np.float32)), (4, np.array([-2, 3], np.float32)))
]
PLACED = [place(site, torch.device("cpu")) for site in SITES]
BASE = initial(MODEL, 4)
LAYOUT = BASE.layout
WHOLE = LocalTraining(rate=0.05, batch=64, steps=3)
"""Every batch is the whole site, so that the order of rows does not matter."""


def gradient(site: int, weights: np.ndarray) -> np.ndarray:
    """d / d (bias, weight) of the mean squared error: 2 / n * X'(X w - y) with a column of ones in X."""
    rows = np.column_stack([np.ones(len(SITES[site])), SITES[site].features.astype(np.float64)])
    return 2 / len(rows) * rows.T @ (rows @ weights - SITES[site].labels)


def mean(sent: Sequence[np.ndarray], weights: Sequence[int] | None = None) -> Mean:
    """The weighted mean, without fixed point; by default of equal weights, those of changes that are not stale."""
    weights = weights or [1024] * len(sent)
    return Mean(np.average(np.asarray(sent, np.float64), axis=0, weights=weights), sum(weights), len(sent))


def play(strategy: AnyStrategy, cohorts: Sequence[Sequence[int]], steps: Sequence[int] = (0, 0)) -> list[np.ndarray]:
    """The models after each round with these sites in it; a site with `steps` takes that many instead of the strategy's."""
    base, state, models = BASE, strategy.init(BASE), []
    kept: list[Vectors] = [strategy.fresh(LAYOUT)] * 2
    for cohort in cohorts:
        sent, told = [], strategy.told(LAYOUT, state)
        for site in cohort:
            own = with_steps(strategy, steps[site]) if steps[site] else strategy
            made = contribute(own, MODEL, Objective.SQUARED, base, told, kept[site], PLACED[site], 1)
            kept[site] = made.kept
            sent.append(made.sent)
        base, state = strategy.step(base, mean(sent), state)
        models.append(base.vector)
    return models


def with_steps(strategy: AnyStrategy, steps: int) -> AnyStrategy:
    return replace(strategy, local=replace(strategy.local, steps=steps))
