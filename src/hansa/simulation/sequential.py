"""Clients one after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterable

from hansa.learning.site import contribute
from hansa.simulation.work import Call, Outcome, Shop, naming


class Sequential:
    name = "sequential"

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def run(self, call: Call) -> Outcome:
        outcome = Outcome(self._shop, call)
        self.some(call, range(len(call.clients)), outcome)
        return outcome

    def some(self, call: Call, places: Iterable[int], into: Outcome) -> None:
        """The work of some places of the cohort."""
        work = self._shop.work
        for place in places:
            client = int(call.clients[place])
            with naming(client, call.round):
                rows, seed = self._shop.population.rows(client), work.client_seed(call.round, client)
                made = contribute(work.strategy, work.architecture, work.objective, call.base, call.told, call.kept_by(client), rows, seed)
            into.take(place, made.sent, made.kept, made.summary.steps, made.summary.loss)

    def close(self) -> None:
        pass
