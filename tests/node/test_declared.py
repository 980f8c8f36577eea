"""Jobs that declare more than federated averaging: strategies with memory, compression, rules, asynchronous rounds; on real nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from hansa.core.errors import BlobUnavailable
from hansa.core.types import Address, BlobRef
from hansa.learning.compression.quantised import Quantised
from hansa.learning.compression.topk import TopK
from hansa.learning.robust.trimmed_mean import TrimmedMean
from hansa.learning.strategies.diloco import DiLoCo
from hansa.learning.strategies.fedadam import FedAdam
from hansa.learning.strategies.fedbuff import FedBuff
from hansa.learning.strategies.scaffold import Scaffold
from hansa.learning.strategy import LocalTraining, Vectors
from hansa.model.state import ModelState, Vector
from hansa.monitoring.audit import audit
from hansa.node.coordinator import CoordinatorNode
from hansa.node.trainer import TrainerNode
from hansa.node.verifier import VerifierNode
from hansa.rounds.assemble import Outcome, Standing
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted
from hansa.rounds.spec import JobSpec
from tests.node.conftest import Hall
from tests.node.world import SharedPool, World, populate, trainer

PLAIN = LocalTraining(rate=0.5, batch=8, epochs=1)
ADAMW = LocalTraining(rate=0.05, batch=8, epochs=1, optimiser="adamw")
DECLARED: dict[str, dict[str, object]] = {
    "scaffold, top-k with error feedback": {"strategy": Scaffold(PLAIN, clients=3), "compression": TopK(keep=3, chunk=8)},
    "fedadam, trimmed mean": {"strategy": FedAdam(PLAIN, rate=0.1), "rule": TrimmedMean(1), "max_weight": 1},
    "diloco, carried moments, rotated 4 bits": {
        "strategy": DiLoCo(ADAMW, inner="carry"), "compression": Quantised(bits=4, rotated=True), "clip": 2.0,
    },
}  # fmt: skip


async def model_after(world: World, job: int, rounds: int) -> bytes:
    await world.until(lambda: len(world.state(job).final) >= rounds, f"{rounds} rounds are final")
    return world.state(job).final[rounds - 1].anchor.model


@pytest.mark.parametrize("declared", DECLARED.values(), ids=list(DECLARED))
def test_what_sites_and_server_keep_survives_their_end(hall: Hall, declared: dict[str, object]) -> None:
    """The undisturbed job and one whose trainer and coordinator are killed in the middle come to the same model, bit for bit."""
    models: list[bytes] = []

    async def undisturbed(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        models.append(await model_after(world, await world.post(**declared), 4))

    async def disturbed(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await world.post(**declared)
        await model_after(world, job, 1)
        for name in ("t1", "coordinator"):
            await world.kill(name)
            await world.start(name)
        # A restarted node answers nobody for a few seconds (R1: nothing is replayed to it).
        await world.pass_time(6)
        await world.step_until(lambda: len(world.state(job).final) == 4, "all rounds are final")
        models.append(world.state(job).final[3].anchor.model)

    hall.play(undisturbed)
    hall.play(disturbed)
    assert models[0] == models[1]


def test_the_servers_state_is_anchored_with_every_round(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await world.post(strategy=FedAdam(PLAIN, rate=0.1))
        await model_after(world, job, 2)
        pages = [await world["client"].manifest(world.state(job), number) for number in (1, 2)]
        assert all(page.server is not None for page in pages) and pages[0].server != pages[1].server
        assert {page.server.digest for page in pages if page.server} <= {held.receipt.blob for page in pages for held in page.held}

    hall.play(scenario)


class OtherServer(CoordinatorNode):
    """Anchors another server state than the one the round leads to."""

    def result(self, spec: JobSpec, job: JobState, before: Standing, accepted: Sequence[Accepted], blobs: Mapping[bytes, bytes]) -> Outcome:
        made = super().result(spec, job, before, accepted, blobs)
        return Outcome(made.aggregate, made.model, made.credits, made.server[:-8] + bytes(8), made.left_out)


def test_a_false_server_state_is_condemned(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool, trainers=0, coordinators=(), verifiers=0)
        await world.add("coordinator", OtherServer, pool)
        await world.add("standby", CoordinatorNode, pool)
        await populate_rest(world, pool)
        job = await world.post(strategy=FedAdam(PLAIN, rate=0.1))
        await world.step_until(lambda: len(world.state(job).final) == 4, "all rounds are final")
        state = world.state(job)
        assert state.removed == (world["coordinator"].account,)
        assert {final.coordinator for final in state.final} == {world["standby"].account}

    hall.play(scenario)


async def populate_rest(world: World, pool: SharedPool) -> None:
    for number in range(3):
        await world.add(f"t{number}", trainer(number), pool)
    for number in range(3):
        await world.add(f"v{number}", VerifierNode, pool)


class Slow(TrainerNode):
    """Ends its training only when it is let, however many rounds pass meanwhile."""

    gate: asyncio.Event

    async def change(
        self, job: JobState, spec: JobSpec, round: int, base: ModelState, told: Vectors, kept: Vectors
    ) -> tuple[Vector, Vectors]:
        made = await super().change(job, spec, round, base, told, kept)
        if round == 1:
            await self.gate.wait()
        return made


ASYNCHRONOUS = {"strategy": FedBuff(PLAIN, buffer=2, staleness=4), "max_weight": 1, "quorum": 2}


async def with_a_slow_site(world: World, pool: SharedPool, primary: type[CoordinatorNode] = CoordinatorNode) -> Slow:
    await populate(world, pool, trainers=0, coordinators=(), verifiers=0)
    await world.add("coordinator", primary, pool)
    await world.add("standby", CoordinatorNode, pool)
    Slow.gate = asyncio.Event()
    await world.add("t0", trainer(0), pool)
    await world.add("t1", trainer(1), pool)
    slow = await world.add("t2", trainer(2, kind=Slow), pool)
    for number in range(3):
        await world.add(f"v{number}", VerifierNode, pool)
    assert isinstance(slow, Slow)
    return slow


async def statements(world: World, job: int, number: int) -> dict[Address, tuple[int, int]]:
    """Trainer to (round it was made in, size) of a final round's updates."""
    page = await world["client"].manifest(world.state(job), number)
    return {each.statement.trainer: (each.statement.round, each.statement.size) for each in page.updates}


def test_an_asynchronous_round_waits_for_nobody_and_takes_a_stale_update_once(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        slow = await with_a_slow_site(world, pool)
        job = await world.post(rounds=8, **ASYNCHRONOUS)
        await model_after(world, job, 2)
        slow.gate.set()
        await world.step_until(lambda: len(world.state(job).final) == 8, "all rounds are final", step=0.5)
        made = [(await statements(world, job, number)).get(slow.account) for number in range(1, 9)]
        assert made[:2] == [None, None], "nobody waited for it"
        rounds = [each[0] for each in made if each is not None]
        assert rounds[0] == 1, "what it made of the first model was taken later"
        assert len(set(rounds)) == len(rounds), "and only once"
        assert world.state(job).removed == (), "verifiers found nothing wrong"
        client = world["client"]

        async def sound(staleness: int) -> bool:
            state = world.state(job)
            holders = client.holders(state)
            account_of = client.follower.directory.account_of
            got = await audit(state, 8, lambda ref: client.blobs.get(ref, holders), world.domain, account_of, {}, staleness)
            return got.sound

        assert await sound(4) and not await sound(0), "an auditor knows how stale an update may be"

    hall.play(scenario)


class Repeating(CoordinatorNode):
    """Takes updates that earlier rounds took already."""

    async def used(self, job: JobState, spec: JobSpec) -> frozenset[tuple[str, int]]:
        return frozenset()

    def result(self, spec: JobSpec, job: JobState, before: Standing, accepted: Sequence[Accepted], blobs: Mapping[bytes, bytes]) -> Outcome:
        return super().result(spec, job, Standing(before.model, before.credits, before.server), accepted, blobs)


def test_a_coordinator_that_counts_an_update_twice_is_condemned(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        (await with_a_slow_site(world, pool, Repeating)).gate.set()
        job = await world.post(rounds=4, **ASYNCHRONOUS)
        await world.step_until(lambda: len(world.state(job).final) == 4, "all rounds are final", step=0.5)
        state = world.state(job)
        assert state.removed == (world["coordinator"].account,)
        for number in range(1, 5):
            page = await world["client"].manifest(state, number)
            assert all(each.statement.round == number for each in page.updates if number == 1)

    hall.play(scenario)


def test_what_a_site_keeps_is_served_to_nobody(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await world.post(strategy=Scaffold(PLAIN, clients=3))
        await model_after(world, job, 2)
        site, verifier = world["t0"], world["v0"]
        kept = list(site.book.kept[job].values())
        assert len(kept) >= 2 and all(isinstance(ref, BlobRef) for ref in kept)
        for ref in kept:
            with pytest.raises(BlobUnavailable):
                await verifier.blobs.get(ref, [site.account])

    hall.play(scenario)
