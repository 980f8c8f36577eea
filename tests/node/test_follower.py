"""Following the ledger: whole blocks, reorganisations, outages, and waiting for what is to come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hansa.chain.cursor import Cursor
from hansa.chain.memory import MemoryLedger
from hansa.core.errors import LedgerError, LedgerUnreachable, ProtocolError
from hansa.core.ports import Block
from hansa.market.posting import nets
from hansa.node.coordinator import CoordinatorNode
from hansa.node.follower import Follower
from hansa.rounds.job import Phase
from tests.node.conftest import Hall
from tests.node.world import SharedPool, World, populate


def follower(world: World, read: Callable[[int, int], Awaitable[tuple[int, ...]]] | None = None) -> Follower:
    """A new one over the world's ledger, from its first block."""
    cursor = Cursor(world.ledger, world.placed.events(), first_block=world.placed.block)
    return Follower(cursor, read or (lambda first, milestones: nets(world.ledger, world.contracts, first, milestones)))


async def open_job(world: World, pool: SharedPool) -> int:
    await populate(world, pool, trainers=0, verifiers=0)
    job = await world.post(enrol=3_600)
    await world.until(lambda: len(world.state(job).coordinators) == 2, "coordinators enrol")
    return job


def test_all_followers_come_to_the_same_state(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await open_job(world, pool)
        late = follower(world)
        assert not late.healthy and await late.catch_up() and late.healthy
        assert late.jobs == world["client"].follower.jobs and late.jobs[job].nets == (970 * 10**18,) * 2
        assert not await late.catch_up(), "there is nothing new"
        assert world["standby"].account in late.directory

    hall.play(scenario, workers=False)


def test_a_reorganisation_is_folded_again_from_the_start(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await open_job(world, pool)
        assert isinstance(world.ledger, MemoryLedger)
        follow = follower(world)
        await follow.catch_up()
        world.ledger.reorganise(2, keep=False)  # both enrolments are gone
        assert await follow.catch_up() and follow.healthy
        assert follow.jobs[job].coordinators == () and follow.jobs[job].phase is Phase.ENROLLING
        # The nodes see it too, and enrol once more.
        await world.until(lambda: len(world.state(job).coordinators) == 2, "coordinators enrol again")

    hall.play(scenario, workers=False)


def test_half_of_a_block_is_never_seen(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await open_job(world, pool)
        fails = 2

        async def read(first: int, milestones: int) -> tuple[int, ...]:
            nonlocal fails
            fails -= 1
            if fails >= 0:
                raise LedgerUnreachable("gone for a moment")
            return await nets(world.ledger, world.contracts, first, milestones)

        follow = follower(world, read)
        for _ in range(2):
            with pytest.raises(LedgerError):
                await follow.catch_up()
            assert not follow.jobs and world["standby"].account not in follow.directory
        await follow.catch_up()
        assert follow.jobs == world["client"].follower.jobs and job in follow.jobs

    hall.play(scenario, workers=False)


def test_an_outage_is_sat_out(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await open_job(world, pool)
        follow = follower(world)
        async with follow.running():
            await world.until(lambda: follow.healthy, "it has caught up")
            real = world.ledger.head

            async def gone() -> Block:
                raise LedgerUnreachable("gone")

            world.ledger.head = gone  # type: ignore[method-assign]
            await world.pass_time(1)
            await world.until(lambda: not follow.healthy, "it knows that it does not know")
            world.ledger.head = real  # type: ignore[method-assign]
            await world.until(lambda: follow.healthy, "it is back")
            await world.add("late", CoordinatorNode, pool)
            await world.until(lambda: world["late"].account in follow.directory, "and goes on")

    hall.play(scenario, workers=False)


def test_events_that_do_not_fit_are_met_by_folding_again_not_by_guessing(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await open_job(world, pool)
        follow = follower(world)
        await follow.catch_up()
        del follow.jobs[job]
        await world.add("late", CoordinatorNode, pool)
        await world.until(lambda: len(world.state(job).coordinators) == 3, "a third coordinator enrols")
        with pytest.raises(ProtocolError, match="which was never opened"):
            await follow.catch_up()
        async with follow.running():
            await world.until(lambda: follow.healthy and follow.jobs == world["client"].follower.jobs, "it has folded again")

    hall.play(scenario, workers=False)


def test_a_failing_follower_ends_what_depends_on_it(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        async def broken(first: int, milestones: int) -> tuple[int, ...]:
            raise ZeroDivisionError("a bug")

        await open_job(world, pool)
        with pytest.raises(ExceptionGroup) as caught:
            async with follower(world, broken).running():
                await asyncio.sleep(30.0)
        assert isinstance(caught.value.exceptions[0], ZeroDivisionError)

    hall.play(scenario, workers=False)


def test_waiting_ends_with_the_state_or_with_the_time(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await open_job(world, pool)
        follow = world["client"].follower
        assert await follow.until(job, lambda state: True, 30.0) is follow.jobs[job]
        assert await follow.until(job + 1, lambda state: True, 0.01) is None
        assert await follow.until(job, lambda state: False, 0.01) is follow.jobs[job]
        waiting = asyncio.create_task(follow.until(job, lambda state: len(state.coordinators) == 3, 30.0))
        await world.add("late", CoordinatorNode, pool)
        state = await waiting
        assert state is not None and len(state.coordinators) == 3

    hall.play(scenario, workers=False)


def test_whoever_has_a_seat_or_a_job_may_talk(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await open_job(world, pool)
        follow = world["coordinator"].follower
        assert follow.knows(world["standby"].account) and follow.knows(world["client"].account)
        assert not follow.knows(world.founder.address)

    hall.play(scenario, workers=False)
