"""Whole jobs: from posting to the last claim, and what a restart, a silence or a lie changes about them - nothing that matters."""

from __future__ import annotations

from pathlib import Path

import pytest

from hansa.core.errors import StorageError
from hansa.core.ports import Entry
from hansa.node.verifier import VerifierNode
from hansa.rounds.job import Phase
from hansa.runtime.journal import MemoryJournal
from tests.node.conftest import Hall
from tests.node.world import SharedPool, U, World, open_world, populate

_reference: list[bytes] = []


async def finish(world: World, job: int) -> None:
    """Let a job whose rounds are done be settled, closed, claimed and released."""
    state = world.state(job)
    members = {*state.trainers, *state.coordinators, *state.candidates}
    await world.step_until(lambda: world.state(job).phase is Phase.CLOSED, "the job is closed")
    await world.step_until(lambda: members <= set(world.state(job).released), "all stake is released")


async def final_model(world: World, job: int, rounds: int = 4) -> bytes:
    await world.until(lambda: len(world.state(job).final) == rounds, f"{rounds} rounds are final")
    return world.state(job).final[-1].anchor.model


def reference(hall: Hall) -> bytes:
    """The model that the undisturbed job comes to."""
    if not _reference:

        async def scenario(world: World, pool: SharedPool) -> None:
            await populate(world, pool)
            _reference.append(await final_model(world, await world.post()))

        hall.play(scenario)
    return _reference[0]


def test_a_whole_job(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await world.post()
        await final_model(world, job)
        await finish(world, job)
        await world.step_until(lambda: {milestone for milestone, _ in world.state(job).accepted} == {0, 1}, "both models are accepted")
        await world.pass_time(30.0)
        await world.rest()
        assert len(world.state(job).accepted) == 2, "acceptance was sent more than once"
        token = world.contracts.token
        assert await token.balance_of(world.contracts.rounds.address).read(world.ledger) == 0, "money was left behind"
        # 2000 less 3 percent: a tenth to the coordinator, 15 percent to the verifiers, the rest to three trainers, who had 5000 each.
        earned = 1_940 * U
        for name in ("t0", "t1", "t2"):
            balance = await token.balance_of(world[name].account).read(world.ledger)
            assert balance == 5_000 * U + earned * 75 // 100 // 3
        assert await token.balance_of(world["standby"].account).read(world.ledger) == 5_000 * U
        client = world["client"]
        before = await client.evaluate(world.state(job), 1)  # type: ignore[attr-defined]
        after = await client.evaluate(world.state(job), 4)  # type: ignore[attr-defined]
        assert after.loss < before.loss

    hall.play(scenario)


@pytest.mark.parametrize("name", ["coordinator", "t1", "v1"])
@pytest.mark.parametrize("records", [2, 5, 9, 14])
def test_a_node_that_dies_after_any_record_goes_on_to_the_same_model(hall: Hall, name: str, records: int) -> None:
    expected = reference(hall)

    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        party = world.parties[name]
        await world.kill(name)
        doomed, journal = Doomed(party.entries, len(party.entries) + records), world.journal
        world.journal = lambda party: doomed if party.name == name else journal(party)
        await world.start(name)
        await world.pass_time(6.0)
        job = await world.post(patience=400, enrol=200)
        await world.until(lambda: doomed.full or len(world.state(job).final) == 4, "the journal is full or the job done")
        await world.kill(name)
        world.journal = journal
        await world.start(name)
        await world.pass_time(6.0)
        assert await final_model(world, job) == expected

    hall.play(scenario)


class Doomed(MemoryJournal):
    """Takes so many records and then none: what its node can still say must not go beyond them."""

    def __init__(self, entries: list[Entry], room: int) -> None:
        super().__init__(entries)
        self._kept, self._room, self.full = entries, room, False

    def append_all(self, records: object) -> int:
        listed = list(records)  # type: ignore[call-overload]
        if self.full or len(self._kept) + len(listed) > self._room:
            self.full = True
            raise StorageError("the disk is full")
        return super().append_all(listed)


def test_on_sockets_and_files_the_model_is_the_same(hall: Hall, tmp_path: Path) -> None:
    expected = reference(hall)

    async def scenario(world: World, pool: SharedPool) -> None:
        async with open_world(tmp_path, home=tmp_path) as real:
            await populate(real, pool)
            assert await final_model(real, await real.post()) == expected
            assert (tmp_path / "t0" / "journal.sqlite").exists() and any((tmp_path / "v0" / "blobs").iterdir())

    hall.play(scenario)


def test_everyone_restarts_in_the_middle_and_comes_to_the_same_model(hall: Hall) -> None:
    expected = reference(hall)

    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await world.post(patience=400)
        await world.until(lambda: len(world.state(job).final) >= 1, "a round is final")
        for name in ("coordinator", "t0", "t1", "t2", "v0", "v1", "v2"):
            await world.kill(name)
        for name in ("coordinator", "t0", "t1", "t2", "v0", "v1", "v2"):
            await world.start(name)
        await world.pass_time(6.0)
        assert await final_model(world, job) == expected

    hall.play(scenario)


def test_nodes_of_a_closed_job_owe_nothing_and_keep_nothing_for_ever(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await world.post(rounds=1, milestones=1)
        model = await final_model(world, job, 1)
        await finish(world, job)
        verifier = world["v0"]
        assert isinstance(verifier, VerifierNode) and model in verifier.book.guarded
        assert await verifier.tidy() == 0 and job not in verifier.book.forgotten, "blobs are needed past every dispute"
        await world.pass_time(verifier.until(world.state(job)) + 3_601 - world.clock.now())
        await world.rest()
        assert await verifier.tidy() > 0 and job in verifier.book.forgotten
        assert model not in verifier.book.guarded and not verifier.book.boxes.get(job) and verifier._all_owed(world.state(job)) == []
        # The journal says so too: nothing comes back with the next start.
        await world.kill("v0")
        again = await world.start("v0")
        assert job in again.book.forgotten and model not in again.book.guarded

    hall.play(scenario)


def test_the_protocols_clock_is_kept_going_by_one_member(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool, trainers=0)
        job = await world.post(enrol=900_000, deadline=2_000_000)
        await world.until(lambda: len(world.state(job).coordinators) == 2 and len(world.state(job).candidates) == 3, "seats are taken")
        clock = world.contracts.clock
        gap = await clock.max_gap().read(world.ledger)
        started = await clock.last().read(world.ledger)
        await world.pass_time(gap / 2 - 60)
        assert await clock.last().read(world.ledger) == started
        blocks = (await world.ledger.head()).number
        await world.pass_time(63)
        await world.until(lambda: world["coordinator"]._ticked > started, "the first in turn ticks")
        await world.pass_time(30)
        await world.rest()
        assert (await world.ledger.head()).number == blocks + 3, "one tick is enough"
        assert await clock.last().read(world.ledger) > started

    hall.play(scenario, workers=False)


def test_a_coordinator_that_dies_is_replaced(hall: Hall) -> None:
    expected = reference(hall)

    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await world.post()
        await world.until(lambda: len(world.state(job).final) >= 1, "a round is final")
        await world.kill("coordinator")
        done = len(world.state(job).final)
        if world.state(job, "standby").phase is not Phase.OPEN:
            await world.until(lambda: world.state(job).phase is Phase.OPEN, "the next round is open")
        await world.pass_time(world.state(job).terms.patience + 3)
        await world.until(lambda: world.state(job).coordinator == world["standby"].account, "the standby takes over")
        # The trainers' updates are the same, so the model is.
        assert await final_model(world, job) == expected
        assert world.state(job).final[-1].coordinator == world["standby"].account and done < 4
        vault = world.contracts.vault
        lost = 5_000 * U - await vault.staked(world.parties["coordinator"].account).read(world.ledger)
        assert lost == 100 * U, "lateness costs a tenth of the stake"

    hall.play(scenario)


def test_without_quorum_the_job_is_cancelled_and_refunded(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool, trainers=2)
        before = await world.contracts.token.balance_of(world["client"].account).read(world.ledger)
        job = await world.post(trainers=3, quorum=3)
        await world.until(lambda: len(world.state(job).trainers) == 2, "two enrol")
        await world.pass_time(60)
        await world.until(lambda: world.state(job).closed == 3, "the job is cancelled")
        credit = await world.contracts.market.credit(world["client"].account).read(world.ledger)
        balance = await world.contracts.token.balance_of(world["client"].account).read(world.ledger)
        assert balance + credit == before

    hall.play(scenario, workers=False)
