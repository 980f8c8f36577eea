"""What a coordinator takes, promises and sums - and what it turns away with one sentence."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from msgspec.structs import replace

from hansa.core import frames
from hansa.core.encoding import decode, encode, sha256
from hansa.core.errors import PeerRefused
from hansa.core.types import Address, Digest, Envelope
from hansa.identity.envelope import seal
from hansa.identity.keys import AccountKey
from hansa.identity.statements import UpdateStatement
from hansa.model.update import Update
from hansa.model.update_format import UpdateFormat
from hansa.node.coordinator import CoordinatorNode
from hansa.node.records import Received
from hansa.node.trainer import TrainerNode
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.manifest import Accepted
from hansa.storage import unixfs
from tests.node.conftest import Hall
from tests.node.test_blobs import peer
from tests.node.world import SharedPool, World, populate, trainer

DATASET = Digest(sha256(b"a salted data set"))


class Puppet(TrainerNode):
    """A trainer that takes its seat and then does only what the test says."""

    def owed(self, job: JobState) -> list[Duty]:
        return []


async def opened(world: World, pool: SharedPool, **terms: int) -> int:
    """A job in its first round whose three trainers are puppets."""
    await populate(world, pool, trainers=0)
    for number in range(3):
        await world.add(f"t{number}", trainer(number, kind=Puppet), pool)
    job = await world.post(**terms)  # type: ignore[arg-type]
    await world.until(lambda: world.state(job).phase is Phase.OPEN, "the first round is open")
    return job


async def update(
    world: World, job: int, name: str, *, value: int = 1, format: UpdateFormat | None = None, **said: object
) -> tuple[Accepted, bytes]:
    """A signed update of `name`; `said` changes what its statement says, `format` what it is made for."""
    state = world.state(job, "coordinator")
    spec, _ = await world["coordinator"].spec(state)
    shape = format or spec.update_format(state)
    values = np.full(shape.layout.size, value, np.int16)
    data = shape.encode(Update(shape.layout, shape.scales, values, 1), DATASET)
    ref, party = unixfs.root(data), world.parties[name]
    statement = replace(UpdateStatement(job, state.round, party.account, state.base, ref.digest, ref.size, 1, DATASET), **said)
    return Accepted(statement, statement.sign(world.domain, party.key)), data


async def submit(
    world: World, job: int, name: str, accepted: Accepted, data: bytes, *, to: str = "coordinator", round: int = 0
) -> Received:
    body = frames.pack([encode(accepted), data])
    at = round or accepted.statement.round
    return decode(await world[name].parts.transport.request(peer(world[to]), "update", body, job=job, round=at), Received)


def test_an_update_is_answered_with_a_signed_receipt_again_and_again(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await opened(world, pool)
        accepted, data = await update(world, job, "t0")
        first = await submit(world, job, "t0", accepted, data)
        assert first.receipt.signer_of(world.domain, first.signature) == world["coordinator"].account
        records = len(world.parties["coordinator"].entries)
        assert await submit(world, job, "t0", accepted, data) == first
        assert len(world.parties["coordinator"].entries) == records, "a repetition is not journalled"

    hall.play(scenario, workers=False)


def test_of_two_updates_of_one_trainer_the_first_counts_also_when_they_come_together(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await opened(world, pool)
        pairs = [await update(world, job, "t0", value=value) for value in range(1, 9)]
        answers = await asyncio.gather(*(submit(world, job, "t0", *pair) for pair in pairs), return_exceptions=True)
        receipts = [each for each in answers if isinstance(each, Received)]
        refusals = [each for each in answers if isinstance(each, PeerRefused)]
        assert len(receipts) == 1 and len(refusals) == 7 and "the first one counts" in str(refusals[0])
        book = world["coordinator"].book
        (taken,) = book.took[job][(1, world.state(job).base)].values()
        assert receipts[0].receipt.update == taken.statement.update

    hall.play(scenario, workers=False)


def test_what_is_wrong_with_an_update_is_said_in_one_sentence(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await opened(world, pool)
        state = world.state(job, "coordinator")
        spec, _ = await world["coordinator"].spec(state)
        shape = spec.update_format(state)
        good, data = await update(world, job, "t0")

        async def refused(sentence: str, accepted: Accepted, data: bytes, by: str = "t0", round: int = 0) -> None:
            with pytest.raises(PeerRefused, match=sentence):
                await submit(world, job, by, accepted, data, round=round)

        await refused("brought by the trainer that signed it", good, data, by="t1")
        await refused("do not match the digest", good, data[:-1] + b"\x07")
        await refused("do not match the digest", good, data + b"\x00")
        outsider = await update(world, job, "v0")
        await refused("not signed by a trainer of this job", *outsider, by="v0")
        forged = Accepted(good.statement, AccountKey.generate().sign(good.statement.digest(world.domain)))
        await refused("not signed by a trainer of this job", forged, data)
        await refused("does not take", *await update(world, job, "t0", base=bytes(32)))
        await refused("made in round 2", *await update(world, job, "t0", round=2), round=1)
        short = np.frombuffer(data[:-2], np.uint8).tobytes()
        ref = unixfs.root(short)
        said = replace(good.statement, update=ref.digest, size=ref.size)
        await refused("was sent where the round's layout needs", Accepted(said, said.sign(world.domain, world.parties["t0"].key)), short)
        beyond = data[:-2] + (-(1 << 15)).to_bytes(2, "little", signed=True)
        ref = unixfs.root(beyond)
        said = replace(good.statement, update=ref.digest, size=ref.size)
        await refused("values lie between", Accepted(said, said.sign(world.domain, world.parties["t0"].key)), beyond)
        other = await update(world, job, "t0", format=replace_format(shape, job=job + 1))
        await refused("the update's job is", *other)
        await refused("weight or data set inside", *await update(world, job, "t0", weight=2))
        await refused("weight or data set inside", *await update(world, job, "t0", dataset=bytes(32)))
        assert not world["coordinator"].book.took[job], "nothing of all this was kept"
        await submit(world, job, "t0", good, data)

    hall.play(scenario, workers=False)


def replace_format(shape: UpdateFormat, *, job: int) -> UpdateFormat:
    return UpdateFormat(job, shape.round, shape.base, shape.spec, shape.layout, shape.scales, shape.bits, shape.max_weight)


def test_weights_above_the_specs_are_refused(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await opened(world, pool)
        state = world.state(job, "coordinator")
        spec, _ = await world["coordinator"].spec(state)
        shape = spec.update_format(state)
        loose = UpdateFormat(job, 1, shape.base, shape.spec, shape.layout, shape.scales, shape.bits)
        heavy = loose.encode(Update(shape.layout, shape.scales, np.ones(shape.layout.size, np.int16), spec.max_weight + 1), DATASET)
        ref, party = unixfs.root(heavy), world.parties["t0"]
        said = UpdateStatement(job, 1, party.account, state.base, ref.digest, ref.size, spec.max_weight + 1, DATASET)
        with pytest.raises(PeerRefused, match=f"weight is {spec.max_weight + 1}"):
            await submit(world, job, "t0", Accepted(said, said.sign(world.domain, party.key)), heavy)

    hall.play(scenario, workers=False)


def test_requests_are_heard_once_and_from_members_only(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await opened(world, pool)
        assert world.network is not None
        accepted, data = await update(world, job, "t0")
        body = frames.pack([encode(accepted), data])

        def signed(key: AccountKey, *, recipient: str = "coordinator", body: bytes = body) -> Envelope:
            to = world[recipient].account
            return seal(key, world.domain, recipient=to, kind="update", body_digest=sha256(body), now=world.clock.now(), job=job, round=1)

        coordinator = peer(world["coordinator"])
        envelope = signed(world.parties["t0"].key)
        await world.network.deliver(coordinator, "update", envelope, body)
        with pytest.raises(PeerRefused, match="received before"):
            await world.network.deliver(coordinator, "update", envelope, body)
        with pytest.raises(PeerRefused, match="not admitted"):
            await world.network.deliver(coordinator, "update", signed(AccountKey.generate()), body)
        with pytest.raises(PeerRefused, match="another recipient"):
            await world.network.deliver(coordinator, "update", signed(world.parties["t0"].key, recipient="standby"), body)
        with pytest.raises(PeerRefused, match="not the one that was signed"):
            await world.network.deliver(coordinator, "update", signed(world.parties["t0"].key), body + b"x")
        with pytest.raises(PeerRefused, match="exceeds the limit"):
            await world.network.deliver(coordinator, "verdict", signed(world.parties["t0"].key), bytes(5 << 20))
        with pytest.raises(PeerRefused, match="in office"):
            await submit(world, job, "t0", accepted, data, to="standby")

    hall.play(scenario, workers=False)


def test_a_message_that_is_ahead_of_the_ledger_here_waits_for_it(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await opened(world, pool)
        coordinator = world["coordinator"]
        known = coordinator.follower.jobs.pop(job)
        accepted, data = await update_of(world, known, "t0")
        answer = asyncio.create_task(submit(world, job, "t0", accepted, data))
        await asyncio.sleep(0)
        coordinator.follower.jobs[job] = known
        coordinator.follower._tell()
        assert (await answer).receipt.update == accepted.statement.update
        with pytest.raises(PeerRefused, match="in office"):
            await submit(world, job + 5, "t0", accepted, data)

    hall.play(scenario, workers=False)


async def update_of(world: World, state: JobState, name: str) -> tuple[Accepted, bytes]:
    coordinator = world["coordinator"]
    coordinator.follower.jobs[state.id] = state
    made = await update(world, state.id, name)
    del coordinator.follower.jobs[state.id]
    return made


def test_no_receipt_for_what_the_sum_does_not_hold(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await opened(world, pool, quorum=2, patience=80)
        coordinator = world["coordinator"]
        assert isinstance(coordinator, CoordinatorNode)
        for name in ("t0", "t1"):
            await submit(world, job, name, *await update(world, job, name))
        late = await update(world, job, "t2")
        state = coordinator.job(job)
        coordinator._sums[job] = ((state.round, state.attempt), frozenset(world[name].account for name in ("t0", "t1")))
        with pytest.raises(PeerRefused, match="came too late"):
            await submit(world, job, "t2", *late)
        # Those who are in it are told so again, as after a lost answer.
        assert (await submit(world, job, "t0", *await update(world, job, "t0"))).receipt.attempt == 0
        del coordinator._sums[job]
        await world.pass_time(61)
        await world.until(lambda: len(world.state(job).final) == 1, "the round ends with a quorum")
        assert world.state(job).final[0].anchor.accepted == 2
        with pytest.raises(PeerRefused, match="does not take|takes no updates"):
            await submit(world, job, "t2", *late)

    hall.play(scenario, workers=False)


def test_every_anchored_blob_has_two_holders(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await opened(world, pool, rounds=2)
        for name in ("t0", "t1", "t2"):
            await submit(world, job, name, *await update(world, job, name))
        await world.until(lambda: len(world.state(job).final) == 1, "the round is final")
        state, coordinator = world.state(job), world["coordinator"]
        page = await coordinator.manifest(state, 1)
        named = {*(each.statement.update for each in page.updates), page.aggregate.digest, page.model.digest}
        assert {held.receipt.blob for held in page.held} == named
        holders = {party.account: party for party in world.parties.values()}
        for held in page.held:
            assert held.holder != coordinator.account
            assert held.receipt.signer_of(world.domain, held.signature) == held.holder
            assert any(ref.digest == held.receipt.blob for ref in holders[Address(held.holder)].store._blobs)  # type: ignore[attr-defined]
        listing = state.final[0].anchor.manifest
        assert sum(any(ref.digest == listing for ref in party.store._blobs) for party in world.parties.values()) >= 2  # type: ignore[attr-defined]

    hall.play(scenario, workers=False)


def test_a_round_without_a_second_holder_is_not_anchored(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await opened(world, pool)
        for name in ("standby", "v0", "v1", "v2"):
            await world.kill(name)
        for name in ("t0", "t1", "t2"):
            await submit(world, job, name, *await update(world, job, name))
        await world.rest()
        assert world.state(job).anchor is None and not world["coordinator"].book.drafts[job]
        await world.start("v0")
        await world.pass_time(6)
        await world.until(lambda: world.state(job).anchor is not None, "anchored as soon as somebody holds the blobs too")

    hall.play(scenario, workers=False)
