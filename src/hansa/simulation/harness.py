"""The robustness harness: one training problem under every attack with every rule, over label skew, attackers and seeds.

Every client takes part in every round. What counts for a rule is its worst attack, and what it costs when nobody attacks; a result is the
mean over seeds of the test accuracy of the last model. A run that diverges counts as always naming the commonest class.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from hansa.core.encoding import spec_digest
from hansa.core.errors import ConfigError, FormatError, ProtocolError
from hansa.learning import robust
from hansa.learning.robust import AnyRule
from hansa.model.update import largest
from hansa.runtime.lifeline import die_with_parent
from hansa.simulation.attacks import AnyAttack
from hansa.simulation.draw import Fixed
from hansa.simulation.partition import Dirichlet
from hansa.simulation.scenario import Attacking, Scenario

MEAN = "plain mean"
CLIPPED = "clip + mean"
"""The two baselines: no rule at all, and only a bound on each update's length."""


class Study(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`scenario` is the honest problem: its partition, cohort, rule and attack are the harness's to set.

    `cases` are pairs of a Dirichlet concentration and a number f of dishonest clients, `norm` is the public length that clipping rules cut
    an update to. ConfigError when there are fewer than 5 seeds, or when no rule could tolerate that many attackers.
    """

    title: str
    scenario: Scenario
    cases: tuple[tuple[float, int], ...]
    attacks: tuple[AnyAttack, ...]
    norm: float
    least: int = 8
    seeds: int = 5

    def __post_init__(self) -> None:
        n = self.scenario.clients
        if self.seeds < 5:
            raise ConfigError(f"{self.seeds} seeds say little about an attack; give at least 5")
        if not n or not self.cases or not self.attacks or any(not 0 < f < n / 2 for _, f in self.cases):
            raise ConfigError(f"a study names attacks, and cases with 1 to less than half of its {n} clients attacking")
        if self.scenario.rule is not None or self.scenario.attack is not None:
            raise ConfigError("a study's scenario is honest and plain: leave its rule and attack out")

    @property
    def digest(self) -> str:
        """Names the results: equal studies have equal ones, wherever they run."""
        anywhere = replace(self.scenario, device="cpu", executor="auto", workers=0)
        return spec_digest(replace(self, scenario=anywhere)).hex()


class Cell(NamedTuple):
    """One run: concentration, number of attackers, defence, attack's place in the study (-1: nobody attacks), seed."""

    skew: float
    attackers: int
    defence: str
    attack: int
    seed: int


Found = dict[Cell, float]
"""Test accuracy of each run."""


def defences(study: Study, f: int) -> dict[str, AnyRule | None]:
    """By name, the rules that work with f attackers among the study's clients."""
    n, steps = study.scenario.clients, largest(study.scenario.bits) / study.scenario.bound
    length = max(1, round(study.norm * steps))
    trimmed = robust.TrimmedMean(f)
    named: dict[str, AnyRule | None] = {
        MEAN: None,
        CLIPPED: robust.NormClipping(length),
        "median": robust.Median(),
        "trimmed mean": trimmed,
        "krum": robust.Krum(f),
        "multi-krum": robust.MultiKrum(f),
        "bulyan": robust.Bulyan(f),
        "geometric median": robust.GeometricMedian(f, iterations=20),
        "centred clipping": robust.CentredClipping(f, length, iterations=3),
        "nnm + trimmed mean": robust.NearestNeighbourMixing(f, trimmed),
        "nnm + centred clipping": robust.NearestNeighbourMixing(f, robust.CentredClipping(f, length, iterations=3)),
        "arc + nnm + trimmed mean": robust.AdaptiveClipping(f, robust.NearestNeighbourMixing(f, trimmed)),
        "buckets of 2 + median": robust.Bucketing(2, robust.Median()),
    }
    return {name: rule for name, rule in named.items() if rule is None or _fits(rule, n)}


def _fits(rule: AnyRule, rows: int) -> bool:
    try:
        rule.check(rows)
    except ProtocolError:
        return False
    return True


def cells(study: Study) -> Iterator[Cell]:
    """Every run of the study, cheapest seeds first, so that an interrupted one has all of a few seeds rather than a few of all."""
    for seed in range(study.seeds):
        for skew, f in study.cases:
            for defence in defences(study, f):
                for attack in range(-1, len(study.attacks)):
                    yield Cell(skew, f, defence, attack, seed)


def run_cell(study: Study, cell: Cell) -> float:
    """The test accuracy that one run ends with."""
    base, n = study.scenario, study.scenario.clients
    attack = None if cell.attack < 0 else Attacking(study.attacks[cell.attack], cell.attackers / n)
    scenario = replace(
        base, partition=Dirichlet(cell.skew, study.least), cohort=Fixed(n), equal=True, every=base.rounds, seed=base.seed + cell.seed,
        rule=defences(study, cell.attackers)[cell.defence], attack=attack,
    )  # fmt: skip
    simulation = scenario.open()
    try:
        found = [record.test for record in simulation.run(base.rounds)][-1]
    except FormatError:
        return float("nan")
    finally:
        simulation.close()
    return float("nan") if found is None or found.accuracy is None else found.accuracy


def run(study: Study, kept: Path, workers: int, told: Callable[[int, int], None] = lambda done, of: None) -> Found:
    """All runs, on so many processes; `kept` is a file of JSON lines to which each result is added, and whose results are not run again."""
    found = read(study, kept)
    missing = [cell for cell in cells(study) if cell not in found]
    of, done = len(found) + len(missing), len(found)
    # Whoever ends this process, by whatever signal, has ended its workers too.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=die_with_parent, initargs=(os.getpid(),))
    with kept.open("a") as file, pool:
        running = {pool.submit(run_cell, study, cell): cell for cell in missing}
        for future in as_completed(running):
            cell, found[cell] = running[future], future.result()
            file.write(json.dumps({"study": study.digest, "cell": cell, "accuracy": found[cell]}) + "\n")
            file.flush()
            done += 1
            told(done, of)
    return found


def read(study: Study, kept: Path) -> Found:
    """Results of this study in a file of an earlier or another run of it."""
    lines = kept.read_text().splitlines() if kept.exists() else []
    entries = [json.loads(line) for line in lines]
    return {Cell(*entry["cell"]): entry["accuracy"] for entry in entries if entry["study"] == study.digest}


class Line(NamedTuple):
    """One defence at one skew and number of attackers: mean accuracy by attack (-1: none), and each one's standard deviation over seeds."""

    defence: str
    means: Mapping[int, float]
    deviations: Mapping[int, float]

    @property
    def worst(self) -> int:
        """The attack that hurts most."""
        return min((attack for attack in self.means if attack >= 0), key=lambda attack: self.means[attack])


def lines(study: Study, found: Found, skew: float, f: int) -> list[Line]:
    """One line a defence, best worst case first; a run that diverged counts as accuracy 0."""
    made = []
    for defence in defences(study, f):
        means, deviations = {}, {}
        for attack in range(-1, len(study.attacks)):
            shares = [found[Cell(skew, f, defence, attack, seed)] for seed in range(study.seeds)]
            shares = [0.0 if share != share else share for share in shares]
            means[attack], deviations[attack] = statistics.fmean(shares), statistics.stdev(shares)
        made.append(Line(defence, means, deviations))
    return sorted(made, key=lambda line: -line.means[line.worst])
