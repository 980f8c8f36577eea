"""A small population and the work that tests give it."""

from __future__ import annotations

import numpy as np
import torch

from hansa.learning.examples import Examples
from hansa.learning.local import Placed, make_deterministic, place
from hansa.learning.strategies import FedAvg
from hansa.learning.strategy import LocalTraining
from hansa.model.architectures import Mlp, Objective
from hansa.simulation.draw import Fixed
from hansa.simulation.engine import Simulation
from hansa.simulation.partition import Partition, Quantity, assign
from hansa.simulation.population import Shared
from hansa.simulation.work import Shop, Work

CPU = torch.device("cpu")
LOCAL = LocalTraining(rate=0.2, batch=8, epochs=2)
MODEL = Mlp(6, (5,), 3)
RANDOM = np.random.default_rng(1)
CENTRES = RANDOM.standard_normal((3, 6)) * 2
LABELS = RANDOM.integers(0, 3, 900)
ROWS = Examples((CENTRES[LABELS] + RANDOM.standard_normal((900, 6))).astype(np.float32), LABELS)

make_deterministic(1)


def work(**changed: object) -> Work:
    return Work(**{"architecture": MODEL, "objective": Objective.CATEGORICAL, "strategy": FedAvg(LOCAL), "seed": 5, **changed})  # type: ignore[arg-type]


def population(clients: int = 30, partition: Partition | None = None) -> Shared:
    return Shared.of(ROWS, assign(partition or Quantity(0.8, least=3), clients, 0, ROWS.labels), CPU)


def held_out() -> Placed:
    return place(ROWS.take(np.arange(0, 900, 7)), CPU)


def simulation(size: int = 8, **changed: object) -> Simulation:
    """Eight of thirty clients a round; keywords that `Simulation` knows go there, others to the work."""
    known = {name: changed.pop(name) for name in ("make", "test", "every", "checkpoint", "memory", "draw") if name in changed}
    return Simulation(Shop.of(work(**changed), population()), **{"draw": Fixed(size), **known})  # type: ignore[arg-type]
