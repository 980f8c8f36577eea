"""Several clients at a time, in this process, as one stack of models; one by one where their models cannot be stacked."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.vectorised import train_together, width
from hansa.simulation.sequential import Sequential
from hansa.simulation.work import Call, Outcome, Shop, naming


class Vectorised:
    name = "vectorised"

    def __init__(self, shop: Shop) -> None:
        self._shop, self._alone = shop, Sequential(shop)
        self.width = width(shop.work.architecture, shop.work.strategy.local, shop.population.device)
        self.refusal = ""
        """Why clients were last trained one by one; empty when they were not."""

    def run(self, call: Call) -> Outcome:
        outcome = Outcome(self._shop, call)
        self.some(call, range(len(call.clients)), outcome)
        return outcome

    def some(self, call: Call, places: Iterable[int], into: Outcome) -> None:
        """The work of some places of the cohort, in stacks of equal numbers of clients that need about as many steps."""
        self.refusal = ""
        size = self._shop.population.size
        ordered = sorted(places, key=lambda place: -size(int(call.clients[place])))
        for stack in np.array_split(ordered, math.ceil(len(ordered) / self.width)) if ordered else []:
            self._stack(call, [int(place) for place in stack], into)

    def _stack(self, call: Call, places: list[int], into: Outcome) -> None:
        work, strategy = self._shop.work, self._shop.work.strategy
        clients = [int(call.clients[place]) for place in places]
        starts = [strategy.start(call.base, call.told, call.kept_by(client)) for client in clients]
        table, rows = self._shop.population.table(clients)
        seeds = [work.client_seed(call.round, client) for client in clients]
        try:
            ends = train_together(work.architecture, work.objective, starts, table, rows, strategy.local, seeds)
        except (ProtocolError, FormatError) as error:
            # Training that diverged is done again, so that the error names the client.
            self.refusal = str(error)
            self._alone.some(call, places, into)
            return
        for place, client, (end, loss) in zip(places, clients, ends, strict=True):
            with naming(client, call.round):
                sent, kept = strategy.finish(call.base, call.told, call.kept_by(client), end)
            into.take(place, sent, kept, end.steps, loss)

    def close(self) -> None:
        pass
