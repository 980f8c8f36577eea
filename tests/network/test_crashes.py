"""Every process of a network killed with `kill -9` at any moment and started again: the same model, the same money, nothing left over."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from hansa.simulation.balances import Books
from hansa.simulation.network import CHAIN
from hansa.simulation.plan import hospital_plan
from tests.network.crew import Crew, Kill, Run, budget, order
from tests.network.pay import fees, owed

SEED = 2_024
JOBS = 20
LONGEST_DELAY = 2.5
"""Seconds after an event; the longest silences of a job are windows, in which one moment is like another."""

PAPER = order()
TRAINERS = ("charite", "karolinska", "hopital-nord", "san-marco")
VERIFIERS = ("verifier-1", "verifier-2", "verifier-3")


@dataclass(frozen=True)
class Undisturbed:
    crew: Crew
    run: Run

    def kills(self, job: int) -> list[Kill]:
        """One kill of each role. A role's moments over all jobs are spread evenly over the undisturbed job's events, in an order of
        their own; within the time to the next event the moment is drawn."""
        rng = random.Random(f"{SEED}/{job}")
        return [
            self._moment(rng, role, names, job)
            for role, names in (("coordinator", ("coordinator",)), ("trainer", TRAINERS), ("verifier", VERIFIERS), (CHAIN, (CHAIN,)))
        ]

    def _moment(self, rng: random.Random, role: str, names: tuple[str, ...], job: int) -> Kill:
        places = list(range(JOBS))
        random.Random(f"{SEED}/{role}").shuffle(places)
        times = [at for at, _ in self.run.events] + [self.run.seconds + 0.5]
        after = int((places[job] + rng.random()) / JOBS * len(self.run.events))
        return Kill(rng.choice(names), after, min(rng.random() * (times[after + 1] - times[after]), LONGEST_DELAY))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    with Crew(hospital_plan(tmp_path_factory.mktemp("crashes")), restart=True) as crew:
        yield Undisturbed(crew, crew.run_job(PAPER))


def check(run: Run, what: str) -> None:
    """The job's money went where contracts/SPEC.md says, to the last unit, and came from nowhere else."""
    state, crew_changes = run.state, {name: run.change(name) for name in run.after.purses}
    assert (state.closed, len(state.final), len(state.settled)) == (1, PAPER.rounds, PAPER.milestones), what
    treasury, burnt = fees(state, budget(PAPER))
    assert run.paid == owed(state), f"claimed and owed differ; {what}"
    assert crew_changes["client"] == -budget(PAPER), what
    assert crew_changes["treasury"] == treasury, what
    assert run.after.burnt - run.before.burnt == burnt, what
    _nothing_left(run.after, what)


def _nothing_left(books: Books, what: str) -> None:
    assert books.conserved and (books.escrow, books.locked) == (0, 0), f"escrow {books.escrow}, locked {books.locked}; {what}"


def test_an_undisturbed_job_pays_what_the_specification_says(undisturbed: Undisturbed) -> None:
    run = undisturbed.run
    check(run, "undisturbed")
    owing, account = owed(run.state), undisturbed.crew.network.account
    for name in (*TRAINERS, *VERIFIERS, "coordinator", "standby"):
        assert run.change(name) == owing[account(name)], name


@pytest.mark.parametrize("job", [0, *(pytest.param(job, marks=pytest.mark.slow) for job in range(1, JOBS))])
def test_a_job_survives_the_death_of_every_role(undisturbed: Undisturbed, job: int) -> None:
    kills = undisturbed.kills(job)
    at = "; ".join(f"{kill.name} {kill.delay:.2f} s after {undisturbed.run.names[kill.after]} ({kill.after})" for kill in kills)
    what = f"seed {SEED}, job {job}, killed: {at}"
    print(what)
    try:
        run = undisturbed.crew.run_job(PAPER, kills=kills)
    except TimeoutError as error:
        raise AssertionError(f"the job did not end; {what}") from error
    print(f"{run.seconds:.1f} s: {' '.join(run.names)}")
    assert run.model == undisturbed.run.model, what
    check(run, what)
    owing, account = owed(run.state), undisturbed.crew.network.account
    for name in (*TRAINERS, *VERIFIERS, "coordinator", "standby"):
        assert run.change(name) == owing[account(name)], f"{name}; {what}"
    for name in TRAINERS:
        assert run.change(name) == undisturbed.run.change(name), f"{name}; {what}"
