"""A standing order on real processes: the first version, a child on new rows, one that its money forbids, one that is not good enough."""

from __future__ import annotations

import asyncio
import csv
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from hansa.market.standing import StandingOrder
from hansa.sdk import Client, Tender
from hansa.simulation.hospitals import patients, write_csv
from hansa.simulation.plan import hospital_plan
from tests.network.crew import Crew, order

pytestmark = pytest.mark.slow

SECONDS = 150.0


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    with Crew(hospital_plan(tmp_path), restart=True) as opened:
        yield opened


async def until(tender: Tender, what: str) -> str:
    """Look until something is found."""
    end = time.monotonic() + SECONDS
    while what not in (found := await tender.look()):
        assert time.monotonic() < end, f"{what!r} was waited for; last found: {found}"
        await asyncio.sleep(0.5)
    return found


def grow(table: Path, more: Path, count: int) -> None:
    """Append `count` rows of another table, as a client does whose patients go on coming."""
    with more.open() as file:
        fresh = list(csv.reader(file))[1 : count + 1]
    with table.open("a", newline="") as file:
        csv.writer(file).writerows(fresh)


async def status(client: Client, model: int) -> dict[str, str]:
    return {version.artifact: version.status for version in (await client.model(model)).versions}


def test_a_child_replaces_its_parent_only_by_being_better_and_within_its_budget(crew: Crew, tmp_path: Path) -> None:
    folder = crew.network.config_path("client").parent
    table, more = folder / "data" / "patients.csv", tmp_path / "more.csv"
    everyone = patients(seed=5)
    write_csv(everyone.client, everyone.columns, more)
    paper = replace(order(rounds=2, window=6, deadline=300), held=replace(order().held, margin=0.0))
    standing = StandingOrder(paper, budget="1200", period=3_600, rows=30)

    async def story() -> None:
        tender = Tender(crew.client, standing, folder)
        assert "from a new model" in await tender.look()
        assert "is the first" in await until(tender, "is the first")
        first = tender.tended
        assert await status(crew.client, first.model) == {first.version: "approved"}
        assert "0 new rows" in await tender.look()

        grow(table, more, 40)
        # Another process goes on where this one stopped.
        again = Tender(crew.client, standing, folder)
        assert f"from version {first.version[:16]}" in await again.look()
        found = await until(again, "version ")
        spec, _ = await crew.client.node.spec(crew.client.job(max(crew.client.jobs)))
        assert spec.genesis.digest.hex() == first.version and spec.acceptance.against.startswith("its parent")
        after = again.tended
        if "takes the place" in found:
            assert await status(crew.client, first.model) == {first.version: "deprecated", after.version: "approved"}
        else:
            assert "stays" in found and after.version == first.version
            assert await status(crew.client, first.model) == {first.version: "approved"}

        grow(table, more, 40)
        assert "budget is spent; again in" in await again.look()

        # The same model tended by whoever asks for the impossible: the child is trained, and not taken.
        demanding = replace(standing, order=replace(paper, held=replace(paper.held, margin=0.5)), budget="1200")
        strict = Tender(crew.client, demanding, folder)
        assert "job" in await strict.look()
        assert "still no version" in await until(strict, "ended without")

    crew.run(story())
