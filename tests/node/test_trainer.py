"""Trainers that are late, ignored, elsewhere or dishonest: what the others make of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from hansa.core import frames
from hansa.core.encoding import decode, encode
from hansa.core.errors import DataError, PeerRefused, ProtocolError
from hansa.core.types import Address, Envelope
from hansa.learning.schema import Numeric, Schema
from hansa.node.coordinator import CoordinatorNode
from hansa.node.records import Received
from hansa.node.trainer import TrainerNode
from hansa.node.verifier import VerifierNode
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState
from tests.node.conftest import Hall
from tests.node.test_blobs import peer
from tests.node.test_coordinator import opened, submit, update
from tests.node.test_node import reference
from tests.node.world import SharedPool, World, populate, trainer


class Deaf(CoordinatorNode):
    """Gives the trainer `t0` no receipt; what is left with the verifiers it collects."""

    async def _take(self, envelope: Envelope, body: bytes) -> bytes:
        if self.follower.directory.name(self.follower.directory.account_of(Address(envelope.sender))) == "t0":
            raise ProtocolError("no")
        return await super()._take(envelope, body)


class Deafer(Deaf):
    """Does not collect either, whatever stands on the ledger."""

    def owed(self, job: JobState) -> Sequence[Duty]:
        return super().owed(replace(job, registered=()))


async def company(world: World, pool: SharedPool, primary: type[CoordinatorNode]) -> None:
    """As `populate`, with a primary coordinator of a kind."""
    await populate(world, pool, trainers=0, coordinators=(), verifiers=0)
    await world.add("coordinator", primary, pool)
    await world.add("standby", CoordinatorNode, pool)
    for number in range(3):
        await world.add(f"t{number}", trainer(number), pool)
    for number in range(3):
        await world.add(f"v{number}", VerifierNode, pool)


def test_a_round_goes_on_without_a_late_trainer_which_is_back_in_the_next(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await world.post(quorum=2)
        await world.until(lambda: len(world.state(job).final) >= 1, "a round is final")
        await world.kill("t2")
        missed = len(world.state(job).final) + 1
        await world.rest()
        await world.step_until(lambda: len(world.state(job).final) >= missed, "the quorum makes a round")
        await world.start("t2")
        await world.pass_time(6)
        await world.step_until(lambda: len(world.state(job).final) == 4, "all rounds are final")
        accepted = [final.anchor.accepted for final in world.state(job).final]
        assert accepted[0] == 3 and 2 in accepted and accepted[-1] == 3
        tables = [(await world["client"].manifest(world.state(job), number)).credit_table() for number in range(1, 5)]
        late, steady = world["t2"].account, world["t0"].account
        assert tables[-1][late] < tables[-1][steady], "it earned nothing in the round it missed"

    hall.play(scenario)


def test_an_ignored_trainer_registers_its_update_and_is_summed(hall: Hall) -> None:
    expected = reference(hall)

    async def scenario(world: World, pool: SharedPool) -> None:
        await company(world, pool, Deaf)
        job = await world.post()
        await world.step_until(lambda: len(world.state(job).final) == 4, "all rounds are final", most=600)
        assert [final.anchor.accepted for final in world.state(job).final] == [3] * 4
        assert world.state(job).final[-1].anchor.model == expected

    hall.play(scenario)


def test_a_coordinator_that_omits_a_registered_update_is_condemned(hall: Hall) -> None:
    expected = reference(hall)

    async def scenario(world: World, pool: SharedPool) -> None:
        await company(world, pool, Deafer)
        job = await world.post(quorum=2)
        liar = world["coordinator"].account
        await world.step_until(lambda: liar in world.state(job).removed, "the coordinator is condemned", most=300)
        assert await world.contracts.vault.staked(liar).read(world.ledger) < 5_000 * 10**18
        await world.step_until(lambda: len(world.state(job).final) == 4, "the standby finishes", most=600)
        assert {final.coordinator for final in world.state(job).final} == {world["standby"].account}
        assert world.state(job).final[-1].anchor.model == expected

    hall.play(scenario)


def test_a_trainer_that_registers_what_nobody_holds_stops_nobody(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await opened(world, pool, quorum=2)
        for name in ("t0", "t1"):
            await submit(world, job, name, *await update(world, job, name))
        await world.pass_time(41)
        await world.ledger.send(
            world.contracts.rounds.register_update(job, 1, b"\x07" * 32), world.parties["t2"].key, intent="a digest of nothing"
        )
        await world.step_until(lambda: len(world.state(job).final) == 1, "the round is final all the same")
        assert world.state(job).final[0].anchor.accepted == 2

    hall.play(scenario, workers=False)


def test_a_trainer_that_brings_one_update_and_registers_another_harms_nobody_else(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await opened(world, pool)
        for name in ("t0", "t1"):
            await submit(world, job, name, *await update(world, job, name))
        await world.pass_time(41)
        other, data = await update(world, job, "t0", value=9)
        body = frames.pack([encode(other), data])
        for name in ("v0", "v1", "v2"):
            await world["t0"].parts.transport.request(peer(world[name]), "leave", body, job=job, round=1)
        call = world.contracts.rounds.register_update(job, 1, other.statement.update)
        await world.ledger.send(call, world.parties["t0"].key, intent="another")
        await submit(world, job, "t2", *await update(world, job, "t2"))
        await world.until(lambda: len(world.state(job).final) == 1, "the round is final")
        assert not world.state(job).removed

    hall.play(scenario, workers=False)


def test_a_site_with_other_columns_stays_out_and_the_job_goes_on_without_it(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool, trainers=3)
        columns = tuple(Numeric(f"z{place}") for place in range(7))
        other = await world.add("t9", trainer(9, schema=Schema(features=columns, label="y", classes={"no": 0, "yes": 1})), pool)
        job = await world.post(trainers=4, quorum=3, rounds=1, milestones=1)
        await world.until(lambda: len(world.state(job).trainers) == 3, "three enrol")
        assert isinstance(other, TrainerNode)
        spec, _ = await other.spec(world.state(job))
        with pytest.raises(DataError, match="wants other columns than this site has, the first being 'z0'"):
            await other.check_eligible(world.state(job), spec)
        await world.step_until(lambda: len(world.state(job).final) == 1, "the round is final")
        assert other.account not in world.state(job).trainers

    hall.play(scenario)


def test_verifiers_take_what_is_left_in_time_and_from_trainers_only(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await opened(world, pool)
        accepted, data = await update(world, job, "t0")
        body, verifier = frames.pack([encode(accepted), data]), peer(world["v0"])

        async def leave(name: str, body: bytes, to: str = "v0") -> bytes:
            return await world[name].parts.transport.request(peer(world[to]), "leave", body, job=job, round=1)

        await leave("t0", body)
        entries = len(world.parties["v0"].entries)
        await leave("t0", body)
        assert len(world.parties["v0"].entries) == entries
        other, bytes_of_other = await update(world, job, "t0", value=5)
        with pytest.raises(PeerRefused, match="the first one counts"):
            await leave("t0", frames.pack([encode(other), bytes_of_other]))
        with pytest.raises(PeerRefused, match="brought by the trainer that signed it"):
            await leave("t1", body)
        with pytest.raises(PeerRefused, match="does not serve"):
            await leave("t0", body, to="standby")

        async def left(name: str, trainer: str) -> bytes:
            return await world[name].parts.transport.request(verifier, "left", trainer.encode(), job=job, round=1)

        with pytest.raises(PeerRefused, match="may still leave"):
            await left("coordinator", world["t0"].account)
        await world.pass_time(51)
        assert await left("coordinator", world["t0"].account) == encode(accepted)
        assert await left("coordinator", world["t1"].account) == b""
        with pytest.raises(PeerRefused, match="only a coordinator"):
            await left("t1", world["t0"].account)
        late, bytes_of_late = await update(world, job, "t1")
        with pytest.raises(PeerRefused, match="too late in the round"):
            await leave("t1", frames.pack([encode(late), bytes_of_late]))

    hall.play(scenario, workers=False)


def test_a_receipt_for_another_attempt_is_none(hall: Hall) -> None:
    class Confused(CoordinatorNode):
        async def _take(self, envelope: Envelope, body: bytes) -> bytes:
            got = decode(await super()._take(envelope, body), Received)
            receipt = replace(got.receipt, attempt=7)
            return encode(Received(receipt, got.coordinator, receipt.sign(self.parts.domain, self.parts.signer)))

    async def scenario(world: World, pool: SharedPool) -> None:
        await company(world, pool, Confused)
        job = await world.post()
        await world.until(lambda: bool(world["t0"].book.made[job]), "t0 has trained")
        await world.rest()
        assert not world["t0"].book.received[job]

    hall.play(scenario)
