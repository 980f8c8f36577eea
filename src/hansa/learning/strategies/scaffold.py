"""SCAFFOLD (Karimireddy et al. 2020, arXiv:1910.06378, option II): control variates against the drift of unlike sites."""

from __future__ import annotations

import numpy as np

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.strategy import Declared, End, Mean, ServerState, Start, Vectors, check_state, check_vectors, moved, within
from hansa.model.layout import Layout, Tensor
from hansa.model.state import ModelState, Vector

CONTROL = "~control."
MAX_CLIENTS = 1 << 32


class Scaffold(Declared, frozen=True, tag="scaffold"):
    """A site adds c - c_i to every gradient of its K steps of plain SGD and keeps c_i' = c_i - c + (base - w) / (K * local.rate).

    Sent: w - base, then c_i' - c_i in tensors "~control.NAME". Server, over `clients` sites of which `count` sent:
    new = base + rate * mean; c = c + mean * count / clients. The server keeps and tells c (d,); a site keeps c_i, float32 (d,).
    No coordinate of c_i changes by more than `control` in a round, so that fixed point never cuts what a site believes it has sent.
    """

    clients: int
    rate: float = 1.0
    control: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.clients <= MAX_CLIENTS:
            raise FormatError(f"SCAFFOLD is among {self.clients} sites; it must be 1 to {MAX_CLIENTS}")
        within("the server's rate", self.rate, 0, 1e3, strict=True)
        within("the largest change of a control", self.control, 0, 1e6, strict=True)
        if (self.local.optimiser, self.local.momentum, self.local.warmup) != ("sgd", 0.0, 0):
            raise FormatError("SCAFFOLD's controls are mean gradients of plain SGD; use sgd without momentum and without warmup")

    def travels(self, layout: Layout) -> Layout:
        return Layout((*layout.tensors, *(Tensor(CONTROL + tensor.name, tensor.shape) for tensor in layout.tensors)))

    def bounds(self, layout: Layout, bound: float) -> tuple[float, ...]:
        return (bound,) * len(layout.tensors) + (self.control,) * len(layout.tensors)

    def init(self, base: ModelState) -> ServerState:
        return (np.zeros(base.layout.size),)

    def told(self, layout: Layout, state: ServerState) -> Vectors:
        (control,) = check_state(state, (layout.size,))
        return (control.astype(np.float32),)

    def step(self, base: ModelState, mean: Mean, state: ServerState) -> tuple[ModelState, ServerState]:
        size = base.layout.size
        (control,) = check_state(state, (size,))
        if mean.count > self.clients:
            raise ProtocolError(f"{mean.count} sites sent, but the strategy is declared for {self.clients}")
        control = np.add(control, np.multiply(mean.values[size:], mean.count / self.clients))
        return moved(base, np.multiply(mean.values[:size], self.rate)), (control,)

    def start(self, base: ModelState, told: Vectors, kept: Vectors) -> Start:
        size = base.layout.size
        (control,) = check_vectors("what the server tells", told, (size,))
        if not kept:
            return Start(base.vector, control)
        (own,) = check_vectors("the site's control", kept, (size,))
        return Start(base.vector, control - own)

    def finish(self, base: ModelState, told: Vectors, kept: Vectors, end: End) -> tuple[Vector, Vectors]:
        change, limit = end.weights - base.vector, np.float32(self.control)
        difference = np.clip(-told[0] - change / np.float32(end.steps * self.local.rate), -limit, limit)
        return np.concatenate([change, difference]), (kept[0] + difference if kept else difference,)
