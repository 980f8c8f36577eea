"""A small crowd on the network in memory: everybody's update counts, and its trainers are as different as sites of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hansa.core.errors import ConfigError
from hansa.core.ports import Transport
from hansa.core.types import Address, Peer
from hansa.identity.keys import AccountKey
from hansa.model import codec
from hansa.model.aggregate import Aggregate
from hansa.node.client import ClientNode
from hansa.node.coordinator import CoordinatorNode
from hansa.node.verifier import VerifierNode
from hansa.simulation.crowd import REACH, Crowd, key_of, name_of
from tests.node.world import SCHEMA, NoPool, U, World, open_world

TRAINERS = 10


def in_memory(world: World) -> Callable[[AccountKey, Callable[[Address], bool]], tuple[Transport, Callable[[], Peer]]]:
    def place(key: AccountKey, admit: Callable[[Address], bool]) -> tuple[Transport, Callable[[], Peer]]:
        assert world.network is not None
        transport = world.network.transport(key, admit=admit)
        return transport, lambda: transport.peer

    return place


def crowd_of(world: World) -> Crowd:
    return Crowd(world.ledger, world.placed, world.clock, SCHEMA, in_memory(world))


def test_a_round_of_a_crowd_has_everybodys_update(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for name, make in (("client", ClientNode), ("coordinator", CoordinatorNode), ("v0", VerifierNode), ("v1", VerifierNode)):
            await world.add(name, make, NoPool())
        for number in range(TRAINERS):
            grant = world.contracts.token.transfer(key_of(number).address, 100 * U)
            await world.ledger.send(grant, world.founder, intent=f"crowd/{number}")
        async with crowd_of(world) as crowd:
            for number in range(TRAINERS):
                await crowd.add(number, stake=100 * U)
            assert [trainer.account for trainer in crowd.trainers] == [key_of(number).address for number in range(TRAINERS)]
            job = await world.post(rounds=1, milestones=1, trainers=TRAINERS, quorum=TRAINERS, verifiers=2)
            await world.until(lambda: len(world.state(job).trainers) == TRAINERS, "all of the crowd have a seat")
            await world.until(lambda: len(world.state(job).candidates) == 2 and bool(world.state(job).coordinators), "so have the others")
            await world.pass_time(45)
            await world.until(lambda: bool(world.state(job).final), "the round is final")

            state, coordinator = world.state(job), world["coordinator"]
            spec, _ = await coordinator.spec(state)
            page = await coordinator.manifest(state, 1)
            assert [each.statement.trainer for each in page.updates] == sorted(key_of(number).address for number in range(TRAINERS))
            total = Aggregate.decode(await coordinator.blobs.own(page.aggregate), spec.layout, spec.pipeline.grid.scales, spec.bits)
            base, layout = await coordinator.model(state, spec, 1), spec.layout
            changes = [await each.change(state, spec, 1, base, (), ()) for each in crowd.trainers]
            rounded = sum(spec.pipeline.grid.round(change)[0].astype(np.int64) for change, _ in changes)
            assert np.array_equal(total.values, rounded) and (total.count, total.weight) == (TRAINERS, TRAINERS)
            assert len({change.tobytes() for change, _ in changes}) == TRAINERS and all(kept == () for _, kept in changes)
            assert all(np.abs(change).max() <= REACH and change.shape == (layout.size,) for change, _ in changes)
            after = codec.decode(await coordinator.blobs.own(page.model), layout)
            assert not np.array_equal(after.vector, base.vector)

    asyncio.run(_played(tmp_path, story))


def test_a_trainer_without_its_stake_gets_no_seat(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        async with crowd_of(world) as crowd:
            with pytest.raises(ConfigError, match="still has to stake"):
                await crowd.add(3, stake=100 * U)
            assert not crowd.trainers and name_of(3) == "light-0003"

    asyncio.run(_played(tmp_path, story))


async def _played(folder: Path, story: Callable[[World], object]) -> None:
    async with open_world(folder) as world:
        await story(world)  # type: ignore[misc]
