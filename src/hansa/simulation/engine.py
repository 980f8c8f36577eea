"""The simulation engine: rounds of federated training with any number of clients, on the arithmetic of the network itself.

Every round draws a cohort, trains it from the global model, puts what is sent through the pipeline of a real round (clip, compress or
round to integers, exact sum or robust rule), and steps. Memory grows with the cohort and with what clients keep, never with the population.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hansa.core.errors import ConfigError, ProtocolError
from hansa.learning.local import Placed, evaluate
from hansa.learning.metrics import Evaluation
from hansa.model.architectures import initial
from hansa.model.state import ModelState
from hansa.simulation.allocation import keep_pages
from hansa.simulation.attacks.attack import Sight
from hansa.simulation.checkpoint import Checkpoint, State
from hansa.simulation.choice import choose
from hansa.simulation.draw import Draw
from hansa.simulation.kept import MEMORY, KeptStore
from hansa.simulation.records import Record, Results
from hansa.simulation.work import Call, Executor, Outcome, Shop

Make = Callable[[Shop], Executor]
"""Opens an executor on a shop."""


@dataclass(eq=False)
class Simulation:
    """Rounds of `shop`'s work with cohorts by `draw`; `make` opens the executor, None has it chosen by timing the first cohort.

    `test` rows are evaluated every `every` rounds (0: never). `checkpoint` keeps state and records after every round; a run that is begun
    there goes on where it stopped, to the same bits. ConfigError when the cohort does not fit the population or a rule its cohort.
    """

    shop: Shop
    draw: Draw
    make: Make | None = None
    test: Placed | None = None
    every: int = 1
    checkpoint: Checkpoint | None = None
    model: ModelState | None = None
    memory: int = MEMORY

    def __post_init__(self) -> None:
        keep_pages()
        work, population = self.shop.work, self.shop.population.clients
        self.draw.check(population)
        if work.dishonest >= population:
            raise ConfigError(f"{work.dishonest} of {population} clients cannot all be dishonest; lower the attack's share")
        self.pipeline = work.pipeline()
        self.round, self.records, self.words = 0, list[Record](), ""
        self._model = self.model or initial(work.architecture, work.seed)
        self._server = work.strategy.init(self._model)
        self._previous = np.zeros(self.pipeline.grid.layout.size)
        self._kept = KeptStore(None if self.checkpoint is None else self.checkpoint.kept, self.memory)
        self._executor: Executor | None = None

    def resume(self, makes: Callable[[str], Make]) -> None:
        """Take up the checkpoint's state; `makes` opens an executor by the name that the run was begun with."""
        if self.checkpoint is None:
            raise ProtocolError("a simulation without a folder has nothing to resume")
        state, self.records = self.checkpoint.load(self.shop.work.layout)
        self.round, self._model, self._server, self._previous = state.round, state.model, state.server, state.previous
        self._kept.recover(state.round)
        self._executor, self.words = makes(state.executor)(self.shop), f"as begun: {state.executor}"

    @property
    def state(self) -> ModelState:
        """The global model."""
        return self._model

    def step(self) -> Record:
        """One round."""
        work, number = self.shop.work, self.round + 1
        started, cpu = time.perf_counter(), _cpu()
        clients = self.draw.clients(self.shop.population.clients, work.seed, number)
        call = Call(number, self._model, work.strategy.told(work.layout, self._server), clients, self._kept.select(clients.tolist()))
        outcome = self._run(call) if len(clients) else Outcome(self.shop, call)
        if work.attack is not None:
            outcome.replace(self._attacked(call, outcome))
        left_out: tuple[int, ...] = ()
        if outcome.gathered.count:
            aggregate, left_out = outcome.gathered.aggregate()
            mean = self.pipeline.mean(aggregate, work.round_seed(number))
            self._previous = mean.values
            self._model, self._server = work.strategy.step(self._model, mean, self._server)
        self._kept.put(number, outcome.kept)
        self.round = number
        seconds, spent = time.perf_counter() - started, _cpu() - cpu + outcome.cpu
        record = Record(
            round=number, clients=len(clients), weight=outcome.gathered.weight, steps=int(outcome.steps.sum()),
            loss=float(np.mean(outcome.losses)) if len(clients) else None, seconds=seconds, cpu=spent,
            executor="" if self._executor is None else self._executor.name, left_out=tuple(int(clients[place]) for place in left_out),
            test=self._tested() if self.every and number % self.every == 0 else None,
        )  # fmt: skip
        self._save(record)
        return record

    def run(self, rounds: int) -> Iterator[Record]:
        """Rounds until `rounds` are done in all, each as soon as it is."""
        while self.round < rounds:
            yield self.step()

    @property
    def results(self) -> Results:
        return Results(self._model, tuple(self.records), self.words)

    def close(self) -> None:
        """End the executor's processes and remove what was spilled."""
        if self._executor is not None:
            self._executor.close()
        self._kept.close()

    def _run(self, call: Call) -> Outcome:
        if self._executor is None and self.make is not None:
            self._executor = self.make(self.shop)
            self.words = f"as named: {self._executor.name}"
        if self._executor is None:
            self._executor, self.words, outcome = choose(self.shop, call)
            if outcome is not None:
                return outcome
        return self._executor.run(call)

    def _tested(self) -> Evaluation | None:
        work = self.shop.work
        return None if self.test is None else evaluate(work.architecture, work.objective, self._model, self.test)

    def _attacked(self, call: Call, outcome: Outcome) -> dict[int, np.ndarray]:
        """What dishonest clients of the cohort send instead; nothing when there are none, or no honest ones to hide among."""
        work = self.shop.work
        own = [place for place in sorted(outcome.held) if call.clients[place] < work.dishonest]
        honest = [place for place in sorted(outcome.held) if call.clients[place] >= work.dishonest]
        if work.attack is None or not own or not honest:
            return {}
        seen, theirs = (np.stack([outcome.held[place] for place in places]).astype(np.float64) for places in (honest, own))
        sent = work.attack.sent(Sight(seen, theirs, self._previous, work.round_seed(call.round)))
        return dict(zip(own, sent, strict=True))

    def _save(self, record: Record) -> None:
        self.records.append(record)
        if self.checkpoint is not None:
            self.checkpoint.append(record)
            self.checkpoint.save(State(self.round, record.executor, self._model, self._server, self._previous))
            self._kept.sweep()


def _cpu() -> float:
    """Processor seconds of this process and of the children that have ended."""
    own, ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
