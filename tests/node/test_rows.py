"""No row of anybody's data comes out of a node, by whichever door: every handler and route that exists is asked by every kind of party.

The rows of these sites hold values that occur nowhere else. All that leaves a node - answers, refusals, blobs, ledger, metrics - is
searched for them, raw and as text, and what is asked is every kind of request that any node serves, with every body that the others accept.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from yarl import URL

from hansa.core import frames
from hansa.core.encoding import encode
from hansa.core.errors import HansaError
from hansa.core.ports import Handler, Transport
from hansa.core.types import Address, BlobRef, Envelope
from hansa.identity.keys import AccountKey
from hansa.learning import examples, shards
from hansa.learning.examples import Examples
from hansa.node.blobs import HoldRequest
from hansa.node.trainer import TrainerNode
from hansa.rounds import duties
from hansa.rounds.job import JobState
from hansa.storage import unixfs
from hansa.transport.memory import MemoryTransport
from tests.node.conftest import Hall
from tests.node.test_blobs import peer
from tests.node.world import SCHEMA, NoPool, SharedPool, World, open_world, populate, rows


def marked(seed: int) -> Examples:
    """Rows in which every number is one of a kind."""
    plain = rows(seed)
    return Examples((plain.features + np.float32(1 / 3) * np.float32(seed + 1.61803)).astype(np.float32), plain.labels)


def traces(held: Examples) -> Iterator[bytes]:
    """How a row could look in some bytes: two neighbouring values raw, or one spelled out."""
    for row in held.features:
        for left, right in zip(row, row[1:], strict=False):
            yield struct.pack("<2f", left, right)
            yield struct.pack(">2f", left, right)
            yield struct.pack("<2d", left, right)
        yield from (repr(float(value)).encode() for value in row)


class Tap:
    """Keeps every byte that any node sends to another."""

    def __init__(self, world: World) -> None:
        self.bytes: set[bytes] = set()
        assert world.network is not None
        network, exchange = world.network, world.network.exchange

        async def tapped(sender, to, serve, timeout):  # type: ignore[no-untyped-def]
            async def kept(node: MemoryTransport) -> bytes:
                answer = await serve(node)
                self.bytes.add(answer)
                return answer

            return await exchange(sender, to, kept, timeout)

        network.exchange = tapped  # type: ignore[method-assign]
        original = MemoryTransport.receive

        async def receive(node, kind, envelope, body):  # type: ignore[no-untyped-def]
            self.bytes.add(body)
            return await original(node, kind, envelope, body)

        self.restore = lambda: setattr(MemoryTransport, "receive", original)
        MemoryTransport.receive = receive  # type: ignore[method-assign]


def bodies(world: World, job: int, names: list[BlobRef]) -> Iterator[bytes]:
    """Bodies of every shape that a handler of any role reads."""
    trainer = world["t0"].account
    yield b""
    yield b"{}"
    yield trainer.encode()
    yield from (encode(ref) for ref in names)
    for ref in names[-6:]:
        yield frames.pack([encode(HoldRequest(ref, world["v0"].until(world.state(job)), True)), b""])
    for accepted in world["t0"].book.made[job].values():
        yield encode(accepted)
        yield frames.pack([encode(accepted), b""])
        yield frames.pack([encode(accepted), bytes(accepted.statement.size)])


async def leaked(world: World, pool: SharedPool, asking: str, kind: type[TrainerNode]) -> set[str]:
    """The sites whose rows came out after two rounds and every question that `asking` can put to everybody."""
    tap = Tap(world)
    try:
        await populate(world, pool, trainers=0)
        sites = {f"t{number}": marked(number) for number in range(3)}
        for number, (name, held) in enumerate(sites.items()):
            digest = examples.digest(held, bytes([number]) * 32)
            await world.add(name, lambda parts, h=held, d=digest: kind(parts, SCHEMA, h, d, disclose_rows=False), pool)  # type: ignore[misc]
        job = await world.post(rounds=2, milestones=1)
        await world.until(lambda: len(world.state(job).final) == 2, "two rounds are final")
        await world.rest()
        answered = await question(world, tap, asking, job, list(sites.values()))
        assert answered == 0 if asking == "stranger" else answered > 0, "the question must be one that is answered at times"
        for party in world.parties.values():
            if party.name not in sites:
                tap.bytes.update(party.store._blobs.values())  # type: ignore[attr-defined]
                tap.bytes.update(entry.record for entry in party.entries)
        head = (await world.ledger.head()).number
        tap.bytes.update(log.data for log in await world.ledger.logs(list(world.placed.events()), 0, head))
        everything = b"\x00".join(tap.bytes)
        return {name for name, held in sites.items() if any(trace in everything for trace in traces(held))}
    finally:
        tap.restore()


async def question(world: World, tap: Tap, asking: str, job: int, sites: list[Examples]) -> int:
    """Ask everyone for all that any node ever stored, and for the rows by the names they would have; how often there was an answer."""
    books = [party.running.book for party in world.parties.values()]
    names = [guard.ref for book in books for guards in book.guarded.values() for guard in guards.values()]
    names += [unixfs.root(shards.write(held)) for held in sites]
    names += [BlobRef(unixfs.root(held.features.tobytes()).digest, held.features.nbytes) for held in sites]
    names = list(dict.fromkeys(names))
    kinds = sorted({kind for party in world.parties.values() for kind in party.running.handlers()} | {"train", "load", "rows", "blob"})
    assert world.network is not None
    stranger = world.network.transport(AccountKey.generate(), admit=lambda _: True)
    transport = stranger if asking == "stranger" else world[asking].parts.transport
    answered = 0
    for to in ("t0", "t1", "t2", "coordinator", "standby", "v0", "v1", "client"):
        if to == asking:
            continue
        for kind in kinds:
            for body in bodies(world, job, names):
                answered += await heard(transport, world, tap, to, kind, body, job)
        for ref in names:
            try:
                tap.bytes.add(await transport.fetch_range(peer(world[to]), ref, 0, ref.size))
                answered += 1
            except HansaError as refusal:
                tap.bytes.add(str(refusal).encode())
    return answered


@pytest.mark.parametrize("asking", ["stranger", "client", "t1", "v0", "coordinator"])
def test_no_handler_or_route_gives_out_a_row(hall: Hall, asking: str) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        assert await leaked(world, pool, asking, TrainerNode) == set()

    hall.play(scenario)


class Talkative(TrainerNode):
    """A planted bug: it answers when it is asked for its rows."""

    def handlers(self) -> Mapping[str, Handler]:
        return {"rows": self._show}

    async def _show(self, envelope: Envelope, body: bytes) -> bytes:
        return self._rows.features[3:4].tobytes()


class Overt(TrainerNode):
    """A planted bug: with every update it also sends a measured value, in words."""

    async def _train(self, job: JobState, duty: duties.Train) -> None:
        await super()._train(job, duty)
        text = repr(float(self._rows.features[0, 0])).encode()
        with contextlib.suppress(HansaError):
            await self.parts.transport.request(self.follower.directory.peer(Address(job.coordinator)), "left", text, job=job.id)


@pytest.mark.parametrize("kind", [Talkative, Overt])
def test_the_search_finds_planted_leaks(hall: Hall, kind: type[TrainerNode]) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        assert await leaked(world, pool, "coordinator", kind) == {"t0", "t1", "t2"}

    hall.play(scenario)


def test_over_https_a_trainers_routes_give_nothing_to_whoever_asks(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_world(tmp_path, home=tmp_path) as world:
            held = marked(1)
            node = await world.add(
                "t0", lambda parts: TrainerNode(parts, SCHEMA, held, examples.digest(held, bytes(32)), disclose_rows=True), NoPool()
            )
            ref = await node.blobs.keep(0, shards.write(held), 1 << 40, open=True)
            url = node.parts.transport.peer.url  # type: ignore[attr-defined]
            tls = ssl.create_default_context()
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            everything = b""
            paths = (
                "/",
                "/healthz",
                "/metrics",
                f"/ipfs/{ref.digest.hex()}?size={ref.size}",
                "/v1/rows",
                "/v1/update",
                "/../../journal.sqlite",
            )
            async with aiohttp.ClientSession() as session:
                for method in ("GET", "POST", "HEAD", "PUT"):
                    for path in paths:
                        async with session.request(method, URL(url + path, encoded=True), ssl=tls) as reply:
                            everything += await reply.read() + repr(reply.headers).encode()
            assert b"error" in everything and not any(trace in everything for trace in traces(held))

    asyncio.run(main())


async def heard(transport: Transport, world: World, tap: Tap, to: str, kind: str, body: bytes, job: int) -> int:
    """Whether one question is answered at all."""
    try:
        tap.bytes.add(await transport.request(peer(world[to]), kind, body, job=job, round=2))
    except HansaError as refusal:
        tap.bytes.add(str(refusal).encode())
        return 0
    return 1


def test_what_a_trainer_says_of_itself_is_a_salted_digest_and_an_update(hall: Hall) -> None:
    """The digest of the rows is salted: whoever guesses them all cannot confirm the guess (R17)."""

    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await world.post(rounds=1, milestones=1)
        await world.until(lambda: bool(world.state(job).final), "a round is final")
        page = await world["v0"].manifest(world.state(job), 1)
        said = {each.statement.trainer: each.statement.dataset for each in page.updates}
        for number in range(3):
            guess = rows(number)
            unsalted = [examples.digest(guess, bytes(32)), unixfs.root(shards.write(guess)).digest, examples.digest(guess, b"\x01" * 32)]
            assert said[world[f"t{number}"].account] not in unsalted

    hall.play(scenario)
