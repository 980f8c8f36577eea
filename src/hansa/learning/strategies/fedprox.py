"""FedProx (Li et al. 2020, arXiv:1812.06127): federated averaging of sites that are held back to the global model while they train."""

from __future__ import annotations

from hansa.learning.strategy import Declared, Mean, ServerState, moved
from hansa.model.state import ModelState


class FedProx(Declared, frozen=True, tag="fedprox"):
    """Sites minimise F(w) + mu / 2 |w - base|^2, with mu = `local.proximal`; the server averages. With mu = 0 it is federated averaging."""

    def step(self, base: ModelState, mean: Mean, state: ServerState) -> tuple[ModelState, ServerState]:
        return moved(base, mean.values), state
