"""A population some of whose clients train on rows that an attack has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hansa.learning.examples import Examples
from hansa.learning.local import Placed, place
from hansa.simulation.attacks.attack import Attack
from hansa.simulation.partition import Index
from hansa.simulation.population import Population


@dataclass(frozen=True, eq=False, slots=True)
class Poisoned:
    """The `honest` population, but the first `dishonest` clients hold what the attack makes of their rows."""

    honest: Population
    attack: Attack
    dishonest: int
    seed: int

    @property
    def clients(self) -> int:
        return self.honest.clients

    @property
    def device(self) -> torch.device:
        return self.honest.device

    def size(self, client: int) -> int:
        return self.honest.size(client)

    def rows(self, client: int) -> Placed:
        rows = self.honest.rows(client)
        if client >= self.dishonest:
            return rows
        examples = Examples(rows.features.cpu().numpy(), rows.labels.cpu().numpy())
        return place(self.attack.rows(examples, int(np.random.PCG64([self.seed, client]).random_raw() >> 11)), self.device)

    def table(self, clients: Sequence[int]) -> tuple[Placed, list[Index]]:
        if min(clients) >= self.dishonest:
            return self.honest.table(clients)
        parts = [self.rows(client) for client in clients]
        bounds = np.cumsum([0, *(len(part.labels) for part in parts)])
        joined = Placed(torch.cat([part.features for part in parts]), torch.cat([part.labels for part in parts]))
        return joined, [np.arange(start, stop) for start, stop in zip(bounds, bounds[1:], strict=False)]
