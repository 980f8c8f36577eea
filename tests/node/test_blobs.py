"""Who may read which blob, what holders take and for how long, and what happens when they are silent."""

from __future__ import annotations

import os

import pytest

from hansa.core import frames
from hansa.core.encoding import decode, encode
from hansa.core.errors import BlobUnavailable, PeerRefused, TransportError
from hansa.core.types import Address, BlobRef, Peer
from hansa.identity.keys import AccountKey
from hansa.node.blobs import GRACE, HoldRequest
from hansa.node.coordinator import CoordinatorNode
from hansa.node.node import Node
from hansa.rounds.manifest import Held
from hansa.storage import unixfs
from hansa.transport.memory import MemoryTransport
from tests.node.conftest import Hall
from tests.node.world import SharedPool, World, populate


def peer(node: Node) -> Peer:
    transport = node.parts.transport
    assert isinstance(transport, MemoryTransport)
    return transport.peer


async def started(world: World, pool: SharedPool, *, candidates: int = 3) -> int:
    """A job in its first round, nothing trained; two coordinators and three seated verifiers, drawn where there are more `candidates`."""
    await populate(world, pool, verifiers=candidates)
    job = await world.post()
    await world.until(lambda: len(world.state(job).candidates) == candidates and len(world.state(job).trainers) == 3, "seats are taken")
    await world.step_until(lambda: bool(world.state(job).coordinator), "the first round is open")
    return job


async def asks(world: World, who: str, ref: BlobRef, of: str) -> bytes:
    """`who` reads a blob at `of`."""
    return await world[who].parts.transport.fetch_range(peer(world[of]), ref, 0, ref.size)


async def brings(
    world: World, who: str, to: str, job: int, data: bytes, *, until: int = 0, open: bool = False, name: BlobRef | None = None
) -> Held:
    """`who` asks `to` to hold a blob."""
    asked = HoldRequest(name or unixfs.root(data), until or world[to].until(world.state(job)), open)
    body = frames.pack([encode(asked), data])
    return decode(await world[who].parts.transport.request(peer(world[to]), "hold", body, job=job), Held)


def test_an_update_is_read_by_coordinators_and_seated_verifiers_alone(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await started(world, pool, candidates=4)
        state = world.state(job)
        ref = await world["coordinator"].blobs.keep(job, b"somebody's update", world["coordinator"].until(state), open=False)
        names = {party.account: name for name, party in world.parties.items()}
        seated = [names[Address(account)] for account in state.verifiers]
        surplus = next(name for name in ("v0", "v1", "v2", "v3") if name not in seated)
        for name in ("standby", *seated):
            assert await asks(world, name, ref, "coordinator") == b"somebody's update"
        for name in ("t0", "t1", "t2", "client", surplus):
            with pytest.raises(PeerRefused, match="not for everyone"):
                await asks(world, name, ref, "coordinator")
            with pytest.raises(PeerRefused, match="not for everyone"):
                await world[name].parts.transport.request(peer(world["coordinator"]), "outline", encode(ref))
        open_one = await world["coordinator"].blobs.keep(job, b"the model", world["coordinator"].until(state), open=True)
        for name in ("t0", "client", surplus):
            assert await asks(world, name, open_one, "coordinator") == b"the model"

    hall.play(scenario, workers=False)


def test_strangers_are_turned_away_at_the_door(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await started(world, pool)
        assert world.network is not None
        ref = await world["coordinator"].blobs.keep(job, b"the model", 1 << 40, open=True)
        stranger = world.network.transport(AccountKey.generate(), admit=lambda _: True)
        with pytest.raises(PeerRefused, match="not admitted"):
            await stranger.fetch_range(peer(world["coordinator"]), ref, 0, ref.size)
        # Another network's member, registered here, but in none of the job's seats.
        outsider = await world.add("outsider", world.parties["standby"].make, pool)
        with pytest.raises(PeerRefused, match="not for everyone"):
            await outsider.parts.transport.fetch_range(peer(world["coordinator"]), ref, 0, ref.size)

    hall.play(scenario, workers=False)


def test_a_trainer_serves_nothing(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await started(world, pool)
        ref = await world["t0"].blobs.keep(1, b"my update", 1 << 40, open=True)
        for name in ("coordinator", "v0", "client", "t1"):
            with pytest.raises(PeerRefused, match="serves no blobs"):
                await asks(world, name, ref, "t0")
            for kind in ("hold", "outline", "update", "left", "leave", "verdict", "evaluation"):
                with pytest.raises(PeerRefused, match="does not serve"):
                    await world[name].parts.transport.request(peer(world["t0"]), kind, encode(ref), job=1)

    hall.play(scenario, workers=False)


def test_a_holder_takes_blobs_of_the_jobs_coordinators_and_client_alone(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await started(world, pool)
        held = await brings(world, "coordinator", "v0", job, b"a blob")
        assert held.holder == world["v0"].account and held.receipt.blob == unixfs.root(b"a blob").digest
        assert await asks(world, "standby", unixfs.root(b"a blob"), "v0") == b"a blob"
        await brings(world, "client", "v0", job, b"another")
        for name in ("t0", "v1"):
            with pytest.raises(PeerRefused, match="only coordinators and the client"):
                await brings(world, name, "v0", job, b"junk")
        with pytest.raises(PeerRefused, match="only coordinators and the client"):
            await brings(world, "coordinator", "v0", job + 7, b"junk", until=1_800_000_000)

    hall.play(scenario, workers=False)


def test_a_holder_promises_no_longer_than_the_job_can_need(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await started(world, pool)
        with pytest.raises(PeerRefused, match="are kept until"):
            await brings(world, "coordinator", "v0", job, b"a blob", until=world["v0"].until(world.state(job)) + 1)
        with pytest.raises(PeerRefused, match="do not match the digest"):
            await brings(world, "coordinator", "v0", job, b"a blob", name=unixfs.root(b"a bloB"))
        with pytest.raises(PeerRefused, match="do not match the digest"):
            await brings(world, "coordinator", "v0", job, b"a blob", name=BlobRef(unixfs.root(b"a blob").digest, 7))
        with pytest.raises(PeerRefused, match="cannot hold 2 parts"):
            await world["coordinator"].parts.transport.request(peer(world["v0"]), "hold", b"junk", job=job)

    hall.play(scenario, workers=False)


def test_nobody_fills_a_holders_disk(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await started(world, pool)
        holder = world["v0"]

        async def little(state: object) -> int:
            return 1_000

        holder.blobs._allowance = little  # type: ignore[method-assign]
        await brings(world, "coordinator", "v0", job, bytes(900))
        await brings(world, "coordinator", "v0", job, bytes(900))  # the same again costs nothing
        with pytest.raises(PeerRefused, match="more bytes"):
            await brings(world, "coordinator", "v0", job, os.urandom(200))
        await brings(world, "standby", "v0", job, os.urandom(200))  # one party's waste is not another's
        assert await holder._allowance(world.state(job)) > 0

    hall.play(scenario, workers=False)


def test_the_second_holder_is_whoever_answers(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await started(world, pool)
        state, coordinator = world.state(job), world["coordinator"]
        await world.kill("standby")
        order = [world.parties[name].account for name in ("standby", "v0", "v1")]
        ref = unixfs.root(b"first")
        held = await coordinator.blobs.place(state, ref, b"first", order, open=False)
        assert held.holder == order[1]
        assert await coordinator.blobs.place(state, ref, b"first", order, open=False) is held
        # The dead one is asked last from now on.
        assert coordinator.blobs._living_first(order) == [order[1], order[2], order[0]]
        for name in ("v0", "v1"):
            await world.kill(name)
        with pytest.raises(BlobUnavailable, match="no second holder"):
            await coordinator.blobs.place(state, unixfs.root(b"second"), b"second", order, open=False)

    hall.play(scenario, workers=False)


def test_a_promise_signed_by_another_or_for_less_is_refused(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await started(world, pool)
        state, coordinator, false = world.state(job), world["coordinator"], world["v0"]
        false.blobs._signer = AccountKey.generate()
        with pytest.raises(BlobUnavailable, match="signed by another key"):
            await coordinator.blobs.place(state, unixfs.root(b"x"), b"x", [false.account], open=False)

    hall.play(scenario, workers=False)


def test_wrong_bytes_from_one_holder_are_got_from_the_next(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await started(world, pool)
        data, reader = os.urandom(100), world["v2"]
        for name in ("v0", "v1"):
            await brings(world, "coordinator", name, job, data)
        ref, liar = unixfs.root(data), world["v0"]
        liar.blobs._recent.put(ref.digest, bytes(100))
        order = [world["v0"].account, world["v1"].account]
        assert await reader.blobs.get(ref, order) == data
        await world.kill("v1")
        reader.blobs._recent.drop(ref.digest)
        with pytest.raises(BlobUnavailable, match="other bytes than asked for.*nobody listens"):
            await reader.blobs.get(ref, order)

    hall.play(scenario, workers=False)


def test_blobs_of_a_job_that_is_not_known_here_are_for_nobody(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await started(world, pool)
        ref = await world["coordinator"].blobs.keep(job + 9, b"of a job that a reorganisation took away", 1 << 40, open=True)
        with pytest.raises(PeerRefused, match="not for everyone"):
            await asks(world, "v0", ref, "coordinator")
        with pytest.raises(PeerRefused, match="does not hold"):
            await asks(world, "v0", unixfs.root(b"never heard of"), "coordinator")

    hall.play(scenario, workers=False)


def test_what_a_client_offers_before_posting_is_read_by_members_unless_it_is_sealed(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await started(world, pool)
        offered = await world["client"].blobs.keep(0, b"genesis", 1 << 40, open=True)
        sealed = await world["client"].blobs.keep(0, b"acceptance shard", 1 << 40, open=False)
        assert await asks(world, "t0", offered, "client") == b"genesis"
        for name in ("t0", "coordinator", "v0"):
            with pytest.raises(PeerRefused, match="not for everyone"):
                await asks(world, name, sealed, "client")

    hall.play(scenario, workers=False)


def test_a_blob_of_two_jobs_is_for_the_parties_of_both_and_never_opened_later(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await started(world, pool)
        blobs, until = world["coordinator"].blobs, world["coordinator"].until(world.state(job))
        ref = await blobs.keep(job, b"shared", until, open=False)
        assert blobs.guard(job, ref, until, open=False) == ()
        assert [guard.open for guard in blobs.guard(job, ref, until + 1, open=True)] == [False]
        await blobs.keep(0, b"shared", until, open=True)
        assert await asks(world, "t0", ref, "coordinator") == b"shared"

    hall.play(scenario, workers=False)


def test_tidying_keeps_what_is_guarded_and_deletes_the_rest(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        node = await world.add("standby", CoordinatorNode, pool)
        now = world.clock.now()
        kept = await node.blobs.keep(1, b"kept", int(now) + 10_000, open=True)
        stray = await node.blobs.put(b"stray")
        assert await node.blobs.tidy(now + GRACE + 1) == len(b"stray")
        assert await node.parts.store.has(kept) and not await node.parts.store.has(stray)
        assert await node.blobs.tidy(now + 10_001) == len(b"kept")

    hall.play(scenario, workers=False)


def test_a_silent_holder_costs_its_timeout_once(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await started(world, pool)
        assert world.network is not None
        data, reader = os.urandom(50), world["v2"]
        for name in ("v0", "v1"):
            await brings(world, "coordinator", name, job, data)
        world.network.partition([world["v0"].account])
        order = [world["v0"].account, world["v1"].account]
        before = world.clock.now()
        assert await world.network.drive(reader.blobs.get(unixfs.root(data), order)) == data
        waited = world.clock.now() - before
        reader.blobs._recent.drop(unixfs.root(data).digest)
        assert await world.network.drive(reader.blobs.get(unixfs.root(data), order)) == data
        assert waited > 0 and world.clock.now() - before == waited
        with pytest.raises(TransportError):
            await world.network.drive(reader.parts.transport.fetch_range(peer(world["v0"]), unixfs.root(data), 0, 50))

    hall.play(scenario, workers=False)
