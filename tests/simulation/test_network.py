"""A network of real processes: killed parts come back where they were, and a second start does nothing twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from hansa.core.errors import StorageError, WorkerError
from hansa.node.config import load_node
from hansa.simulation.network import CHAIN, Network
from hansa.simulation.plan import TOKEN, Member, NetworkPlan


def small(home: Path) -> NetworkPlan:
    """A chain, a client without a process, and a coordinator, the lightest of nodes."""
    members = (Member("client", "client", tokens=5 * TOKEN), Member("office", "coordinator", tokens=9 * TOKEN, stake=4 * TOKEN))
    return NetworkPlan(home, members)


async def listens(url: str) -> bool:
    host, _, port = url.removeprefix("https://").partition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True


def test_a_network_lives_dies_and_lives_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with Network(small(tmp_path)) as first:
            stake = first.standings["office"]
            assert (stake.staked, stake.balance, stake.bond_allowance) == (4 * TOKEN, 5 * TOKEN, first.plan.bonds)
            assert stake.entry is not None and stake.entry.endpoint == first.endpoint("office") == first.children["office"].ready
            assert first.name_of(first.account("office")) == "office" and first.name_of("0x00") == "0x00"

            before = first.children["office"].pid
            await first.kill("office")
            assert not first.alive("office") and not await listens(first.endpoint("office"))
            await first.restart("office")
            assert first.alive("office") and first.children["office"].pid != before and await listens(first.endpoint("office"))

            await first.kill(CHAIN)
            await first.restart(CHAIN)
            head, addresses, accounts = await first.ledger.head(), first.deployment, first.account("office")
            assert first.memory() > 50 << 20
        assert not await listens(stake.entry.endpoint)

        async with Network(small(tmp_path)) as second:
            assert (second.deployment, second.account("office"), second.endpoint("office")) == (addresses, accounts, stake.entry.endpoint)
            assert await second.ledger.head() == head, "a second start sent a transaction"
            assert second.standings["office"] == stake

    asyncio.run(story())


def test_a_taken_port_is_left_and_the_new_one_registered(tmp_path: Path) -> None:
    async def story() -> None:
        plan = replace(small(tmp_path), members=(small(tmp_path).members[0],))
        async with Network(plan) as first:
            old = first.endpoint("client")
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", int(old.rpartition(":")[2]))
        async with server, Network(plan) as second:
            entry = second.standings["client"].entry
            assert entry is not None and entry.endpoint == second.endpoint("client") != old
            assert load_node(second.config_path("client")).listen.port == int(entry.endpoint.rpartition(":")[2])

    asyncio.run(story())


def test_one_home_has_one_network(tmp_path: Path) -> None:
    async def story() -> None:
        plan = replace(small(tmp_path), members=())
        async with Network(plan):
            with pytest.raises(StorageError, match="held by another running process"):
                await Network(plan).start()

    asyncio.run(story())


def test_a_node_that_cannot_start_ends_the_network_with_its_last_words(tmp_path: Path) -> None:
    async def story() -> None:
        broken = Member("office", "coordinator", tokens=9 * TOKEN, command=("python3", "-c", "raise SystemExit('no such office')"))
        network = Network(replace(small(tmp_path), members=(broken,)))
        with pytest.raises(WorkerError, match="office ended before it was ready.*no such office"):
            await network.__aenter__()
        assert not network.alive(CHAIN)

    asyncio.run(story())
