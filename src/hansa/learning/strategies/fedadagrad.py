"""FedAdagrad (Reddi et al. 2021, arXiv:2003.00295): Adagrad at the server."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hansa.learning.strategies.adaptive import Adaptive


class FedAdagrad(Adaptive, frozen=True, tag="fedadagrad"):
    """v = v + mean^2."""

    def second(self, second: NDArray[np.float64], square: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.add(second, square)
