"""Federated averaging with server momentum (Hsu, Qi, Brown 2019, arXiv:1909.06335)."""

from __future__ import annotations

import numpy as np

from hansa.learning.strategy import Declared, Mean, ServerState, check_state, moved, within
from hansa.model.state import ModelState


class FedAvgM(Declared, frozen=True, tag="fedavgm"):
    """v = momentum * v + mean; new = base + rate * v. The server keeps v, float64 (d,)."""

    rate: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        within("the server's rate", self.rate, 0, 1e3, strict=True)
        within("the server's momentum", self.momentum, 0, 0.9999)

    def init(self, base: ModelState) -> ServerState:
        return (np.zeros(base.layout.size),)

    def step(self, base: ModelState, mean: Mean, state: ServerState) -> tuple[ModelState, ServerState]:
        (velocity,) = check_state(state, (base.layout.size,))
        velocity = np.add(np.multiply(velocity, self.momentum), mean.values)
        return moved(base, np.multiply(velocity, self.rate)), (velocity,)
