"""DiLoCo (Douillard et al. 2023, arXiv:2311.08105): many local steps, best of AdamW, between steps of Nesterov's SGD at the server."""

from __future__ import annotations

from typing import Literal

import numpy as np

from hansa.core.errors import FormatError
from hansa.learning.strategy import Declared, End, Mean, ServerState, Start, Vectors, check_state, check_vectors, moments, moved, within
from hansa.model.state import ModelState, Vector


class DiLoCo(Declared, frozen=True, tag="diloco"):
    """v = momentum * v + mean; new = base + rate * (mean + momentum * v): torch's SGD(nesterov=True) along minus the mean change.

    The server keeps v, float64 (d,). A site's inner moments begin anew each round ("reset", best with a few steps of `local.warmup`) or
    go on from its own last round ("carry"), in which case the site keeps them and they are never sent.
    """

    rate: float = 0.7
    momentum: float = 0.9
    inner: Literal["reset", "carry"] = "reset"

    def __post_init__(self) -> None:
        within("the outer rate", self.rate, 0, 1e3, strict=True)
        within("the outer momentum", self.momentum, 0, 0.9999)
        if self.inner not in ("reset", "carry"):
            raise FormatError(f"the inner state is reset or carried, not {self.inner!r}")
        if self.inner == "carry" and (self.local.warmup or not moments(self.local, 1)):
            raise FormatError("an inner state is carried by an optimiser that has moments, and not warmed up; use reset otherwise")

    def init(self, base: ModelState) -> ServerState:
        return (np.zeros(base.layout.size),)

    def step(self, base: ModelState, mean: Mean, state: ServerState) -> tuple[ModelState, ServerState]:
        (velocity,) = check_state(state, (base.layout.size,))
        velocity = np.add(np.multiply(velocity, self.momentum), mean.values)
        ahead = np.add(mean.values, np.multiply(velocity, self.momentum))
        return moved(base, np.multiply(ahead, self.rate)), (velocity,)

    def start(self, base: ModelState, told: Vectors, kept: Vectors) -> Start:
        if self.inner == "reset" or not kept:
            return Start(base.vector)
        return Start(base.vector, moments=check_vectors("the carried inner state", kept, moments(self.local, base.layout.size)))

    def finish(self, base: ModelState, told: Vectors, kept: Vectors, end: End) -> tuple[Vector, Vectors]:
        return end.weights - base.vector, end.moments if self.inner == "carry" else ()
