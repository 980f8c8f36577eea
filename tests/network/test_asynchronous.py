"""An asynchronous job between real processes: nobody waits for a dead site, and what a late one made still counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from hansa.chain.events import Event
from hansa.learning.strategies.fedbuff import FedBuff
from hansa.rounds.job import JobState
from hansa.simulation.network import Network
from hansa.simulation.plan import hospital_plan
from hansa.simulation.study import LOCAL
from tests.network.crew import Crew, order

pytestmark = pytest.mark.slow

DEAD = "san-marco"


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    with Crew(hospital_plan(tmp_path), restart=False) as opened:
        yield opened


def test_rounds_go_on_without_a_dead_site_at_once_and_with_it_when_it_is_back(crew: Crew) -> None:
    back: list[int] = []

    async def trouble(network: Network, event: Event, state: JobState) -> None:
        if event.name == "JobStarted":
            await network.kill(DEAD)
        if event.name == "RoundFinalised" and len(state.final) == 4:
            await network.restart(DEAD)
            back.append(len(state.final))

    paper = replace(order(rounds=60, quorum=3, patience=40), strategy=FedBuff(LOCAL, buffer=3, staleness=8), max_weight=1)
    run = crew.run_job(paper, trouble=trouble)
    final = run.state.final
    assert (run.state.closed, len(final), back) == (1, 60, [4])
    assert all(each.anchor.accepted >= 3 for each in final)
    # A job that waits would have given the dead site three quarters of its patience, 30 s, in each of the first rounds.
    assert final[3].finalised_at - final[0].anchored_at < 25
    assert run.state.removed == () and run.after.conserved and (run.after.escrow, run.after.locked) == (0, 0)
    assert run.paid[crew.network.account(DEAD)] > 0, "it came back and was heard"
