"""Processes that are away for longer than a restart takes: whoever comes back late goes on where it stands and costs nobody anything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from hansa.chain.events import Event
from hansa.rounds.job import JobState
from hansa.simulation.network import CHAIN, Network
from hansa.simulation.plan import hospital_plan
from tests.network.crew import Crew, Run, order
from tests.network.pay import owed

pytestmark = pytest.mark.slow

OUTAGE = 15.0


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    with Crew(hospital_plan(tmp_path), restart=True) as opened:
        yield opened


def check(crew: Crew, run: Run) -> None:
    assert (run.state.closed, len(run.state.final)) == (1, run.state.terms.rounds)
    due = owed(run.state)
    assert run.paid == due
    for name in crew.network.members:
        if name != "client":
            assert run.change(name) == due[crew.network.account(name)], name
    assert run.after.conserved and (run.after.escrow, run.after.locked) == (0, 0)


def test_verifiers_that_return_late_in_the_window_look_before_they_challenge(crew: Crew) -> None:
    window, away = 24, ("verifier-2", "verifier-3")

    async def trouble(network: Network, event: Event, state: JobState) -> None:
        if event.name == "JobStarted":
            await asyncio.gather(*(network.stop_node(name) for name in away))
        if event.name == "RoundAnchored" and state.round == 1:
            await asyncio.sleep(window / 2 + 3)  # past the moment at which the last seat would challenge what nobody could fetch
            await asyncio.gather(*(network.restart(name) for name in away))

    run = crew.run_job(order(window=window), trouble=trouble)
    assert "Challenged" not in run.names
    check(crew, run)


def test_nodes_that_start_while_the_chain_is_down_wait_for_it(crew: Crew) -> None:
    async def trouble(network: Network, event: Event, state: JobState) -> None:
        if event.name == "RoundOpened" and state.round == 2:
            await network.stop_node(CHAIN)
            await asyncio.gather(*(network.kill(name) for name in ("coordinator", "charite", "verifier-1")))
            await asyncio.sleep(OUTAGE)
            await network.restart(CHAIN)

    run = crew.run_job(order(window=10, patience=80), trouble=trouble)
    assert "Challenged" not in run.names and "CoordinatorReplaced" not in run.names
    check(crew, run)
