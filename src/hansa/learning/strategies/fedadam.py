"""FedAdam (Reddi et al. 2021, arXiv:2003.00295): Adam at the server."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hansa.learning.strategies.adaptive import Adaptive, check_beta2


class FedAdam(Adaptive, frozen=True, tag="fedadam"):
    """v = beta2 * v + (1 - beta2) * mean^2."""

    beta2: float = 0.99

    def __post_init__(self) -> None:
        Adaptive.__post_init__(self)
        check_beta2(self.beta2)

    def second(self, second: NDArray[np.float64], square: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.add(np.multiply(second, self.beta2), np.multiply(square, 1.0 - self.beta2))
