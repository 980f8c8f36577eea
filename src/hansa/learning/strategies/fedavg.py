"""Federated averaging (McMahan et al. 2017, arXiv:1602.05629): the next model is the last one plus the weighted mean of the updates."""

from __future__ import annotations

import numpy as np

from hansa.learning.strategy import Declared, Mean, ServerState
from hansa.model.state import ModelState


class FedAvg(Declared, frozen=True, tag="fedavg"):
    """new = base + mean, in float64, rounded once to float32."""

    def step(self, base: ModelState, mean: Mean, state: ServerState) -> tuple[ModelState, ServerState]:
        return ModelState(base.layout, np.add(base.vector.astype(np.float64), mean.values).astype(np.float32)), state
