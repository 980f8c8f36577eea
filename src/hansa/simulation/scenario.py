"""A scenario: a whole simulation as a TOML file - data, who holds them, who takes part, what is trained, how it is summed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from hansa.core.config import load
from hansa.core.encoding import spec_digest
from hansa.core.errors import ConfigError
from hansa.learning.compression.choice import AnyCompression
from hansa.learning.local import make_deterministic, open_device, place
from hansa.learning.robust import AnyRule
from hansa.learning.strategies import AnyStrategy
from hansa.model.architectures import Architecture, Objective, inputs
from hansa.simulation.attacks import AnyAttack
from hansa.simulation.checkpoint import Checkpoint
from hansa.simulation.draw import Fixed, Poisson
from hansa.simulation.engine import Make, Simulation
from hansa.simulation.executors import ExecutorName, executor
from hansa.simulation.partition import Iid, Owners, Partition, assign
from hansa.simulation.population import Population, Shared, Synthetic, SyntheticPopulation
from hansa.simulation.sources import Source
from hansa.simulation.work import Shop, Work

UNSEEN = 100
"""Synthetic clients beside the population whose rows are the test rows."""


class Attacking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The attack, and the share of the population that mounts it."""

    kind: AnyAttack
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"a share of {self.share} cannot attack; give above 0 and below 1")


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a simulation's outcome depends on, and how it is carried out.

    `clients` is the size of the population, 0 for the data's own owners; `bound`, `bits`, `clip` and `equal` are as in `Work`; the test
    rows are asked every `every` rounds. `executor`, `workers`, `within` and `device` say where and how it runs.
    """

    data: Source
    clients: int = 0
    partition: Partition | None = None
    cohort: Fixed | Poisson
    rounds: int
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
    attack: Attacking | None = None
    topology: Literal["star"] = "star"
    every: int = 1
    device: str = "cpu"
    executor: ExecutorName = "auto"
    workers: int = 0
    within: Literal["sequential", "vectorised"] = "sequential"

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= 1 << 31:
            raise ConfigError(f"a simulation has 1 to 2147483648 rounds, not {self.rounds}")
        if self.every < 0 or not 0 <= self.workers <= 1024:
            raise ConfigError(f"test rows are asked every {self.every} rounds and there are {self.workers} workers; give 0 to 1024 workers")

    def subject(self) -> str:
        """Names what is simulated, for a run that is taken up again: everything but how long, how often asked and where it runs."""
        plain = {"rounds": 1, "every": 1, "workers": 0, "executor": "auto"}
        return spec_digest(msgspec.structs.replace(self, **plain)).hex()

    def open(self, folder: Path | None = None) -> Simulation:
        """The simulation, ready to run; with a folder it is kept there after every round, and one begun there goes on.

        ConfigError and the like, one sentence each, when parts of the scenario do not fit together.
        """
        make_deterministic(1)
        device = open_device(self.device)
        if isinstance(self.data, Synthetic):
            if self.partition is not None or not self.clients:
                raise ConfigError("synthetic clients make their own rows: leave out the partition, and say how many clients there are")
            made = SyntheticPopulation(self.data, self.clients, self.seed, device)
            population: Population = made
            test, width = made.unseen(UNSEEN), self.data.features
        else:
            table = self.data.open(self.seed)
            test, width = table.test, table.training.features.shape[1]
            partition = self.partition or (Iid() if self.clients else Owners())
            clients = self.clients or (0 if table.owners is None else int(table.owners.max()) + 1)
            if not clients:
                raise ConfigError("the data name no owners of their rows; say how many clients there are")
            dealt = assign(partition, clients, self.seed, table.training.labels, table.owners)
            population = Shared.of(table.training, dealt, device)
        if width != inputs(self.architecture):
            raise ConfigError(f"the rows have {width} values, but the architecture takes {inputs(self.architecture)}; make them equal")
        work = self._work(population.clients)
        if self.rule is not None and isinstance(self.cohort, Fixed):
            self.rule.check(self.cohort.size)
        checkpoint = None if folder is None else Checkpoint(folder, self.subject())
        make = executor(self.executor, self.workers, self.within)
        simulation = Simulation(Shop.of(work, population), self.cohort, make, place(test, device), self.every, checkpoint)
        if checkpoint is not None and checkpoint.begun:
            simulation.resume(self._maker)
        return simulation

    def _maker(self, name: str) -> Make:
        """The executor that a run was begun with."""
        make = executor(name, self.workers, self.within)
        if make is None:
            raise ConfigError(f"a run cannot have been begun with the executor {name!r}; start afresh in another folder")
        return make

    def _work(self, clients: int) -> Work:
        return Work(
            architecture=self.architecture, objective=self.objective, strategy=self.strategy, seed=self.seed, bound=self.bound,
            bits=self.bits, clip=self.clip, equal=self.equal, compression=self.compression, rule=self.rule,
            attack=None if self.attack is None else self.attack.kind,
            dishonest=0 if self.attack is None else max(1, round(self.attack.share * clients)),
        )  # fmt: skip


def load_scenario(path: Path) -> Scenario:
    """The scenario in a file; ConfigError, naming file and field, when it is not one."""
    return load(path, Scenario)


def simulate(scenario: Scenario, folder: Path | None = None, told: Callable[[object], None] = lambda record: None) -> Simulation:
    """Run a scenario to its end; `told` hears of every round's record. The simulation's `results` are what came of it."""
    simulation = scenario.open(folder)
    try:
        for record in simulation.run(scenario.rounds):
            told(record)
    finally:
        simulation.close()
    return simulation
