"""No row of a hospital leaves it: not for the asking, whoever asks, and not inside anything that others keep."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from hansa.core.clock import SystemClock
from hansa.core.encoding import encode
from hansa.core.errors import PeerRefused
from hansa.core.types import BlobRef, Peer
from hansa.identity.keys import AccountKey
from hansa.learning import data
from hansa.learning.normalisation import Normalisation
from hansa.simulation.hospitals import patients
from hansa.simulation.plan import hospital_plan
from hansa.simulation.study import schema
from hansa.storage import unixfs
from hansa.transport.client import Client
from tests.network.crew import Crew, Run, order

HOSPITALS = ("charite", "karolinska", "hopital-nord", "san-marco")
OTHERS = ("coordinator", "standby", "verifier-1", "verifier-2", "verifier-3")
KINDS = ("update", "verdict", "evaluation", "hold", "outline", "leave", "left", "rows", "data", "examples", "train", "evaluate")
"""Every kind that any role serves, and what a curious party would try besides."""
ROWS = 12
"""Rows of each hospital that are looked for, spread over its table."""
SECONDS = 20.0
AT_ONCE = 48
ANSWER = 1 << 20


@dataclass(frozen=True)
class Town:
    crew: Crew
    run: Run
    secrets: tuple[bytes, ...]

    def peer(self, name: str) -> Peer:
        return self.crew.client.follower.directory.peer(self.crew.network.account(name))

    def updates(self) -> list[tuple[str, BlobRef]]:
        """The last round's updates, each with the hospital that made it."""
        page = self.crew.run(self.crew.client.node.manifest(self.run.state, len(self.run.state.final)))
        return [(self.crew.network.name_of(each.statement.trainer), each.ref) for each in page.updates]

    def holds_none(self, found: bytes, where: str) -> None:
        leaked = [secret for secret in self.secrets if secret in found]
        assert not leaked, f"{len(leaked)} cells of hospitals' rows lie in {where}"


def cells(table: Path) -> Iterator[bytes]:
    """How some rows of a table would look if they lay anywhere: as text, as raw numbers as measured, as raw numbers normalised."""
    lines = table.read_text().splitlines()[1:]
    picked = np.linspace(0, len(lines) - 1, ROWS).astype(int)
    rows = data.read(table, schema(patients().columns))
    normal = Normalisation.fit(rows).apply(rows)
    for row in picked:
        values = lines[row].split(",")
        # Two neighbours at a time: that does not come about by chance, as a single figure does.
        yield from (f"{a}{gap}{b}".encode() for a, b in zip(values[::3], values[1::3], strict=False) for gap in (",", ", ", "\n", "\t"))
        measured = np.array([float(value) for value in values[:-1]])
        for numbers in (measured.astype("<f8"), measured.astype("<f4"), normal.features[row].astype("<f4")):
            yield from (numbers[place : place + 2].tobytes() for place in range(0, len(numbers) - 1, 3))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    home = tmp_path_factory.mktemp("privacy")
    with Crew(hospital_plan(home), restart=False) as crew:
        run = crew.run_job(order(rounds=2), accept=True)
        secrets = {cell for name in HOSPITALS for cell in cells(home / "nodes" / name / "data" / "patients.csv")}
        yield Town(crew, run, tuple(secrets))


def askers(town: Town, but: str) -> list[tuple[str, Client]]:
    """One party of each role, another hospital among them, and one that nobody knows; each signs in its own name."""
    domain, clock = town.crew.client.node.parts.domain, SystemClock()
    other = next(name for name in HOSPITALS if name != but)
    keys = {name: town.crew.network.key(name) for name in ("client", other, *OTHERS[:3]) if name != but}
    return [(name, Client(key, domain, clock)) for name, key in {**keys, "stranger": AccountKey.generate()}.items()]


async def answers(town: Town, target: str, bodies: Sequence[bytes]) -> list[tuple[str, str, bytes]]:
    """(who, kind, answer) of every request that was not refused."""
    got: list[tuple[str, str, bytes]] = []
    peer, job, last = town.peer(target), town.run.state.id, town.run.state.round
    places = asyncio.Semaphore(AT_ONCE)

    async def ask(who: str, client: Client, kind: str, body: bytes) -> None:
        async with places:
            try:
                got.append((who, kind, await client.request(peer, kind, body, job, last, SECONDS, ANSWER)))
            except PeerRefused:
                return

    asking = askers(town, target)
    try:
        await asyncio.gather(*(ask(who, client, kind, body) for who, client in asking for kind in KINDS for body in bodies))
    finally:
        await asyncio.gather(*(client.close() for _, client in asking))
    return got


async def fetched(town: Town, target: str, refs: Sequence[BlobRef]) -> dict[str, list[BlobRef]]:
    """Which of these blobs each asker gets from a node."""
    got: dict[str, list[BlobRef]] = {}
    for who, client in askers(town, target):
        try:
            for ref in refs:
                try:
                    await client.fetch_range(town.peer(target), ref, 0, ref.size, SECONDS)
                    got.setdefault(who, []).append(ref)
                except PeerRefused:
                    continue
        finally:
            await client.close()
    return got


def bodies(town: Town, hospital: str) -> list[bytes]:
    """What a request might be made of: nothing, the hospital's name on the ledger, the name of its update, of its table."""
    table = town.crew.network.home / "nodes" / hospital / "data" / "patients.csv"
    ref = next(ref for name, ref in town.updates() if name == hospital)
    return [b"", town.crew.network.account(hospital).encode(), encode(ref), encode(unixfs.root(table.read_bytes()))]


@pytest.mark.parametrize("hospital", HOSPITALS)
def test_a_hospital_answers_nobody(town: Town, hospital: str) -> None:
    run = town.crew.run
    assert run(answers(town, hospital, bodies(town, hospital))) == []
    table = unixfs.root((town.crew.network.home / "nodes" / hospital / "data" / "patients.csv").read_bytes())
    own = [ref for _, ref in town.updates()]
    assert run(fetched(town, hospital, [table, *own])) == {}


def test_a_hospital_has_no_page_with_rows(town: Town) -> None:
    paths = ("/", "/data/patients.csv", "/v1/rows", "/..%2fdata/patients.csv", "/ipfs/data", "/metrics", "/healthz")

    async def look() -> list[tuple[int, bytes]]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as session:
            found = []
            for hospital in HOSPITALS:
                for path in paths:
                    async with session.get(town.peer(hospital).url + path, ssl=False) as reply:
                        found.append((reply.status, await reply.read()))
            return found

    seen = town.crew.run(look())
    assert {status for status, _ in seen} >= {200, 404}
    for status, page in seen:
        assert status != 200 or len(page) < ANSWER
        town.holds_none(page, "a page of a hospital's node")


@pytest.mark.parametrize("target", OTHERS)
def test_whoever_asks_the_others_gets_no_row(town: Town, target: str) -> None:
    got = town.crew.run(answers(town, target, [body for hospital in HOSPITALS for body in bodies(town, hospital)]))
    for who, kind, answer in got:
        town.holds_none(answer, f"{target}'s answer to {who}'s {kind}")
    # Digests of an update's parts, and who left one: for coordinators and verifiers, who check the sum. All others learn nothing.
    assert {(who, kind) for who, kind, _ in got} <= {(who, kind) for who in OTHERS for kind in ("outline", "left")}


@pytest.mark.parametrize("target", OTHERS)
def test_an_update_is_read_by_coordinators_and_verifiers_alone(town: Town, target: str) -> None:
    refs = [ref for _, ref in town.updates()]
    assert set(town.crew.run(fetched(town, target, refs))) <= set(OTHERS)
    if target == "coordinator":
        assert town.crew.run(fetched(town, target, refs)).keys() >= {"verifier-1", "standby"}


def test_nothing_that_others_keep_holds_a_row(town: Town) -> None:
    home = town.crew.network.home
    kept = [path for name in OTHERS for path in (home / "nodes" / name).rglob("*") if path.is_file()]
    kept += [path for folder in ("logs", "chain", "founder") for path in (home / folder).rglob("*") if path.is_file()]
    blobs = [path for path in kept if "blobs" in path.parts]
    assert len(blobs) >= 10 * len(OTHERS), "there is hardly anything to look at"
    for path in kept:
        town.holds_none(path.read_bytes(), str(path.relative_to(home)))


def test_the_search_finds_rows_where_they_are(town: Town) -> None:
    """The control: each form that is looked for is found where the rows themselves lie."""
    for hospital in HOSPITALS:
        table = town.crew.network.home / "nodes" / hospital / "data" / "patients.csv"
        rows = data.read(table, schema(patients().columns))
        normal = Normalisation.fit(rows).apply(rows)
        for places in (table.read_bytes(), rows.features.astype("<f4").tobytes(), normal.features.astype("<f4").tobytes()):
            assert sum(secret in places for secret in town.secrets) >= ROWS
