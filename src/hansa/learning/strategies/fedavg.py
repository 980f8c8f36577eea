"""Federated averaging (McMahan et al. 2017, arXiv:1602.05629): the next model is the last one plus the weighted mean of the updates."""

from __future__ import annotations

from hansa.core.errors import FormatError
from hansa.learning.strategy import Declared, Mean, ServerState, moved
from hansa.model.state import ModelState


class FedAvg(Declared, frozen=True, tag="fedavg"):
    """new = base + mean, in float64, rounded once to float32. FormatError for a proximal term, which makes it `FedProx`."""

    def __post_init__(self) -> None:
        if self.local.proximal:
            raise FormatError("federated averaging trains without a proximal term; name the strategy fedprox, or set proximal to 0")

    def step(self, base: ModelState, mean: Mean, state: ServerState) -> tuple[ModelState, ServerState]:
        return moved(base, mean.values), state
