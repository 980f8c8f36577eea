"""What a simulation's clients do in a round, declared as data so that other processes can do it too, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError, HansaError
from hansa.learning.compression.choice import AnyCompression
from hansa.learning.robust import AnyRule
from hansa.learning.strategies import AnyStrategy
from hansa.learning.strategy import Vectors, derive_seed
from hansa.model.architectures import Architecture, Objective, check_objective, layout
from hansa.model.layout import Layout
from hansa.model.stages import State
from hansa.model.state import ModelState, Vector
from hansa.model.update import MAX_WEIGHT
from hansa.rounds.pipeline import Pipeline
from hansa.simulation.attacks import AnyAttack
from hansa.simulation.gathering import Gathering
from hansa.simulation.partition import Index
from hansa.simulation.poisoned import Poisoned
from hansa.simulation.population import Population

Kept = tuple[Vectors, State]
"""What a client keeps between its rounds: its strategy's vectors, and its compression's; empty before its first."""


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every client does; a weight's change is sent as up to `bound` in magnitude, in `bits` bits, clipped to the norm `clip` (0: not).

    Clients count by their rows, at most 2^20, or all the same when `equal`; under a robust rule always the same. The first `dishonest`
    clients, by number, attack. FormatError when the parts do not fit together.
    """

    architecture: Architecture
    objective: Objective
    strategy: AnyStrategy
    seed: int = 0
    bound: float = 1.0
    bits: int = 16
    clip: float = 0.0
    equal: bool = False
    compression: AnyCompression | None = None
    rule: AnyRule | None = None
    attack: AnyAttack | None = None
    dishonest: int = 0

    def __post_init__(self) -> None:
        check_objective(self.architecture, self.objective)
        if not 0 <= self.seed < 1 << 53:
            raise FormatError(f"a seed is 0 to 2^53 - 1, not {self.seed}")
        if not 0 < self.bound <= 1e6 or not 0 <= self.clip <= 1e9:
            raise FormatError(f"the bound is {self.bound} and the clip {self.clip}; give above 0 to 1000000, and 0 (none) to 1000000000")
        if (self.attack is None) != (not self.dishonest):
            raise FormatError(f"an attack needs dishonest clients and they need an attack; {self.dishonest} are declared")
        self.pipeline()

    @property
    def layout(self) -> Layout:
        return layout(self.architecture)

    def pipeline(self) -> Pipeline:
        return Pipeline.of(self.strategy, self.layout, self.bound, self.bits, clip=self.clip, compression=self.compression, rule=self.rule)

    def round_seed(self, round: int) -> int:
        """The public seed of a round: what rules and compressions draw by."""
        return derive_seed(self.seed, round, "round")

    def client_seed(self, round: int, client: int) -> int:
        return derive_seed(self.seed, round, str(client))


@dataclass(frozen=True, eq=False)
class Shop:
    """The work with its population: everything that a process needs to do it."""

    work: Work
    population: Population

    @classmethod
    def of(cls, work: Work, population: Population) -> Shop:
        """The shop; dishonest clients' rows are as their attack makes them."""
        return cls(work, population if work.attack is None else Poisoned(population, work.attack, work.dishonest, work.seed))

    def weight(self, client: int) -> int:
        """How often a client counts."""
        return 1 if self.work.equal or self.work.rule is not None else min(MAX_WEIGHT, self.population.size(client))


@dataclass(frozen=True, eq=False)
class Call:
    """One round's work: for whom, from which model; `kept` holds those clients that keep something."""

    round: int
    base: ModelState
    told: Vectors
    clients: Index
    kept: Mapping[int, Kept] = field(default_factory=dict)

    def kept_by(self, client: int) -> Vectors:
        """What the client keeps for its strategy."""
        return self.kept.get(client, ((), ()))[0]


class Outcome:
    """What came of a round, by place in the cohort: what was sent, what clients keep, optimiser steps and mean training losses.

    What is sent is summed up at once, unless clients attack: they are to see the honest vectors first, so that all are held until `settle`.
    """

    def __init__(self, shop: Shop, call: Call) -> None:
        self._shop, self._call, self._pipeline = shop, call, shop.work.pipeline()
        self.gathered = Gathering(self._pipeline, shop.work.round_seed(call.round))
        self.held: dict[int, Vector] = {}
        self.waiting: dict[int, Vectors] = {}
        self.kept: dict[int, Kept] = {}
        self.steps = np.zeros(len(call.clients), np.int64)
        self.losses = np.full(len(call.clients), np.nan)
        self.cpu = 0.0
        """Processor seconds that other processes spent on it."""

    def take(self, place: int, sent: Vector, kept: Vectors, steps: int, loss: float) -> None:
        """One client's contribution; FormatError, naming it, when it is not finite."""
        self.steps[place], self.losses[place] = steps, loss
        if self._shop.work.attack is None:
            self._gather(place, sent, kept)
        else:
            self.held[place] = sent
            self.waiting[place] = kept

    def replace(self, sent: Mapping[int, NDArray[np.float64]]) -> None:
        """Gather what was held, with other vectors from some places; those that are no numbers are refused, as a coordinator does."""
        refused = 0
        for place in sorted(self.held):
            vector = self.held[place]
            if place in sent:
                with np.errstate(over="ignore"):
                    vector = sent[place].astype(np.float32)
                if not np.isfinite(vector).all():
                    refused += 1
                    continue
            self._gather(place, vector, self.waiting[place])
        self.gathered.refuse(refused)

    def _gather(self, place: int, sent: Vector, kept: Vectors) -> None:
        client = int(self._call.clients[place])
        state = self._call.kept.get(client, ((), ()))[1] or self._pipeline.initial()
        with naming(client, self._call.round):
            state = self.gathered.add(place, sent, self._shop.weight(client), state)
        if kept or state:
            self.kept[client] = (kept, state)


class naming:
    """Says whose training failed; the error keeps its class."""

    def __init__(self, client: int, round: int) -> None:
        self._who = f"client {client} in round {round}"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, HansaError):
            raise type(error)(f"{self._who}: {error}") from error


class Executor(Protocol):
    """A way to carry out a round's work; every one gives the same outcome up to the order of additions within training."""

    @property
    def name(self) -> str: ...

    def run(self, call: Call) -> Outcome:
        """The whole cohort's work; FormatError, naming the client, when training diverges."""
        ...

    def close(self) -> None:
        """End what was started for it."""
        ...
