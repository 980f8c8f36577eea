"""FedYogi (Reddi et al. 2021, arXiv:2003.00295): Yogi at the server, whose second moment moves by small steps in either direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hansa.learning.strategies.adaptive import Adaptive, check_beta2


class FedYogi(Adaptive, frozen=True, tag="fedyogi"):
    """v = v - (1 - beta2) * mean^2 * sign(v - mean^2)."""

    beta2: float = 0.99

    def __post_init__(self) -> None:
        Adaptive.__post_init__(self)
        check_beta2(self.beta2)

    def second(self, second: NDArray[np.float64], square: NDArray[np.float64]) -> NDArray[np.float64]:
        step = np.multiply(np.multiply(square, 1.0 - self.beta2), np.sign(np.subtract(second, square)))
        return np.subtract(second, step)
