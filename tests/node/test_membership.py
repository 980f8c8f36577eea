"""Nodes that come to a job that runs, and nodes that leave one: what they do by themselves, and what they are paid."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hansa.core.errors import ProtocolError
from hansa.node.obligations import Enrol
from hansa.rounds.job import Phase
from tests.node.conftest import Hall
from tests.node.test_node import final_model, finish
from tests.node.world import SharedPool, U, World, populate, trainer


async def halted(world: World, *, room: int, quorum: int) -> int:
    """A job of three trainers in its first round, which the last of them holds up."""
    job = await world.post(trainers=3 + room, quorum=quorum)
    await world.until(lambda: len(world.state(job).trainers) == 3, "seats are taken")
    await world.kill("t2")
    await world.step_until(lambda: world.state(job).phase is Phase.OPEN, "the first round is open")
    return job


def has(world: World, job: int, name: str, place: str) -> bool:
    return world.parties[name].account in getattr(world.state(job), place)


def test_a_trainer_that_starts_while_a_job_runs_takes_a_free_seat(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await halted(world, room=1, quorum=3)
        await world.add("t3", trainer(3), pool)
        await world.until(lambda: has(world, job, "t3", "joined"), "the newcomer has a seat")
        await world.add("t4", trainer(4), pool)  # there is no seat for this one
        await world.start("t2")
        await final_model(world, job)
        assert [final.anchor.accepted for final in world.state(job).final] == [3, 4, 4, 4]
        assert not world.state(job).has_member(world["t4"].account)
        await finish(world, job)
        await world.step_until(lambda: 0 in world["t3"].book.claimed[job] or 1 in world["t3"].book.claimed[job], "it claims")
        token, new, old = world.contracts.token, world["t3"].account, world["t0"].account
        paid = await token.balance_of(new).read(world.ledger) - 5_000 * U
        assert 0 < paid < await token.balance_of(old).read(world.ledger) - 5_000 * U

    hall.play(scenario)


def test_a_trainer_that_leaves_is_paid_for_what_it_did_and_has_its_stake_at_once(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await halted(world, room=0, quorum=2)
        node = world["t0"]
        await node.leave(job)
        await world.until(lambda: has(world, job, "t0", "left"), "it has left")
        assert await world.contracts.vault.locked(node.account).read(world.ledger) == 0
        await world.kill("t0")
        await world.start("t0")  # what it owes, and that it has left, is in its journal and on the ledger
        await world.start("t2")
        await final_model(world, job)
        assert [final.anchor.accepted for final in world.state(job).final] == [3, 2, 2, 2]
        await finish(world, job)
        await world.step_until(lambda: 1 in world["t0"].book.claimed[job], "it claims")
        token = world.contracts.token
        paid, other = [await token.balance_of(world[name].account).read(world.ledger) - 5_000 * U for name in ("t0", "t1")]
        assert 0 < paid < other
        with pytest.raises(ProtocolError, match="no trainer's seat"):
            await world["t0"].leave(job)
        with pytest.raises(ProtocolError, match="no trainer's seat"):
            await world["v0"].leave(job)

    hall.play(scenario)


def test_a_node_that_left_or_has_no_time_left_does_not_enrol(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await halted(world, room=1, quorum=2)
        node = world["t0"]
        await node.leave(job)
        await world.until(lambda: has(world, job, "t0", "left"), "it has left")
        assert Enrol(job) not in node._all_owed(node.job(job))
        state = world.state(job)
        stranger = replace(state, left=(), trainers=())
        assert Enrol(job) in node._all_owed(stranger)
        assert Enrol(job) not in world["v0"]._all_owed(stranger)
        assert Enrol(job) not in node._all_owed(replace(stranger, joined=tuple("abcd")))  # every seat is taken
        last = replace(stranger, terms=replace(state.terms, rounds=1, milestones=1))
        assert Enrol(job) in node._all_owed(last)  # nobody is left for the last round
        assert Enrol(job) not in node._all_owed(replace(last, trainers=state.trainers))
        assert Enrol(job) not in node._all_owed(replace(last, phase=Phase.DONE))
        node.now = lambda: float(state.terms.deadline - state.terms.patience)  # type: ignore[method-assign]
        assert Enrol(job) not in node._all_owed(stranger)

    hall.play(scenario)
