"""Adaptive federated optimisation (Reddi et al. 2021, arXiv:2003.00295, algorithm 2): the mean change drives an optimiser at the server."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hansa.learning.strategy import Declared, Mean, ServerState, check_state, moved, within
from hansa.model.state import ModelState


class Adaptive(Declared, frozen=True):
    """m = beta1 * m + (1 - beta1) * mean; v by `second`; new = base + rate * (m / (sqrt(v) + tau)), without a correction of bias.

    The server keeps m, from zero, and v, from tau^2, both float64 (d,).
    """

    rate: float = 0.01
    beta1: float = 0.9
    tau: float = 1e-3

    def __post_init__(self) -> None:
        within("the server's rate", self.rate, 0, 1e3, strict=True)
        within("the server's beta1", self.beta1, 0, 0.9999)
        within("the server's tau", self.tau, 1e-12, 1e3)

    def second(self, second: NDArray[np.float64], square: NDArray[np.float64]) -> NDArray[np.float64]:
        """The next v from the last one and the mean's squares."""
        raise NotImplementedError

    def init(self, base: ModelState) -> ServerState:
        return np.zeros(base.layout.size), np.full(base.layout.size, self.tau * self.tau)

    def step(self, base: ModelState, mean: Mean, state: ServerState) -> tuple[ModelState, ServerState]:
        first, second = check_state(state, (base.layout.size,) * 2)
        first = np.add(np.multiply(first, self.beta1), np.multiply(mean.values, 1.0 - self.beta1))
        second = self.second(second, np.multiply(mean.values, mean.values))
        ratio = np.divide(first, np.add(np.sqrt(second), self.tau))
        return moved(base, np.multiply(ratio, self.rate)), (first, second)


def check_beta2(beta2: float) -> None:
    within("the server's beta2", beta2, 0, 0.999999)
