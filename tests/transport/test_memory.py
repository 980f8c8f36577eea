"""What the in-memory network adds to the laws: faults that come from a seed, and time that passes only when told."""

from __future__ import annotations

import asyncio

import pytest

from hansa.core.clock import ManualClock
from hansa.core.errors import HansaError, PeerRefused, ProtocolError, TransportError
from hansa.core.types import Address, Envelope
from hansa.identity.keys import AccountKey
from hansa.identity.typed import Domain
from hansa.transport.memory import Faults, MemoryNetwork, MemoryTransport

DOMAIN = Domain(31337, Address("0x" + "ab" * 20))


def network(faults: Faults | None = None, seed: int = 0) -> MemoryNetwork:
    return MemoryNetwork(DOMAIN, ManualClock(1000.0), seed=seed, faults=faults)


def node(net: MemoryNetwork, number: int) -> MemoryTransport:
    return net.transport(AccountKey(number.to_bytes(32, "big")), admit=lambda _: True)


async def echo(envelope: Envelope, body: bytes) -> bytes:
    return body


async def outcomes(seed: int, faults: Faults, count: int = 40) -> list[tuple[str, float]]:
    """What became of each request, and when."""
    net = network(faults, seed)
    server, client = node(net, 1), node(net, 2)
    await server.serve({"echo": echo})

    async def one(number: int) -> tuple[str, float]:
        try:
            await client.request(server.peer, "echo", b"%d" % number, timeout=5.0)
        except HansaError as error:
            return type(error).__name__, net.clock.now()
        return "answered", net.clock.now()

    async def every() -> list[tuple[str, float]]:
        return list(await asyncio.gather(*(one(number) for number in range(count))))

    return await net.drive(every())


def test_the_same_seed_gives_the_same_world_and_another_one_another() -> None:
    faults = Faults(loss=0.2, duplication=0.2, least_delay=0.1, most_delay=2.0)
    first = asyncio.run(outcomes(1, faults))
    assert asyncio.run(outcomes(1, faults)) == first
    assert asyncio.run(outcomes(2, faults)) != first
    assert {kind for kind, _ in first} >= {"answered", "TransportError"}


def test_loss_ends_in_silence_at_the_time_limit() -> None:
    assert asyncio.run(outcomes(1, Faults(loss=1.0), 3)) == [("TransportError", 1005.0)] * 3


def test_delay_passes_in_both_directions() -> None:
    assert asyncio.run(outcomes(1, Faults(least_delay=2.0, most_delay=2.0), 3)) == [("answered", 1004.0)] * 3
    assert asyncio.run(outcomes(1, Faults(least_delay=3.0, most_delay=3.0), 1)) == [("TransportError", 1005.0)]


def test_a_duplicated_request_is_handled_once() -> None:
    async def scenario() -> None:
        net = network(Faults(duplication=1.0, least_delay=0.5, most_delay=1.0))
        server, client = node(net, 1), node(net, 2)
        handled: list[bytes] = []

        async def handler(envelope: Envelope, body: bytes) -> bytes:
            handled.append(body)
            return body

        await server.serve({"echo": handler})
        for number in range(20):
            try:
                await net.drive(client.request(server.peer, "echo", b"%d" % number))
            except PeerRefused as error:  # the second copy's refusal may overtake the first one's answer
                assert "received before" in str(error)
            await net.advance(5.0)
        assert handled == [b"%d" % number for number in range(20)]

    asyncio.run(scenario())


def test_a_partition_separates_its_groups_until_it_heals() -> None:
    async def scenario() -> None:
        net = network()
        nodes = [node(net, number) for number in range(1, 5)]
        for one in nodes:
            await one.serve({"echo": echo})
        a, b, c, d = nodes
        net.partition({a.account, b.account}, {c.account})
        assert await a.request(b.peer, "echo", b"x") == b"x"
        for sender, recipient in ((a, c), (c, a), (c, d), (d, b)):
            with pytest.raises(TransportError, match="did not answer within 2 s"):
                await net.drive(sender.request(recipient.peer, "echo", b"x", timeout=2.0))
        net.heal()
        assert await a.request(c.peer, "echo", b"x") == b"x"

    asyncio.run(scenario())


def test_a_partition_in_the_middle_loses_the_answer_not_the_work() -> None:
    async def scenario() -> None:
        net = network()
        server, client = node(net, 1), node(net, 2)
        handled: list[bytes] = []

        async def handler(envelope: Envelope, body: bytes) -> bytes:
            handled.append(body)
            net.partition({server.account})
            return body

        await server.serve({"echo": handler})
        with pytest.raises(TransportError, match="did not answer"):
            await net.drive(client.request(server.peer, "echo", b"x"))
        assert handled == [b"x"]

    asyncio.run(scenario())


def test_time_stands_still_until_it_is_advanced() -> None:
    async def scenario() -> None:
        net = network(Faults(least_delay=1.0, most_delay=1.0))
        server, client = node(net, 1), node(net, 2)
        await server.serve({"echo": echo})
        answer = asyncio.ensure_future(client.request(server.peer, "echo", b"x"))
        await net.advance(1.9)
        assert not answer.done() and net.clock.now() == pytest.approx(1001.9)
        await net.advance(0.2)
        assert answer.done() and await answer == b"x"

    asyncio.run(scenario())


def test_a_node_that_closes_while_a_message_is_on_its_way_is_silent() -> None:
    async def scenario() -> None:
        net = network(Faults(least_delay=1.0, most_delay=1.0))
        server, client = node(net, 1), node(net, 2)
        await server.serve({"echo": echo})
        answer = asyncio.ensure_future(client.request(server.peer, "echo", b"x", timeout=10.0))
        await net.advance(0.5)
        await server.close()
        with pytest.raises(TransportError, match="did not answer"):
            await net.drive(answer)

    asyncio.run(scenario())


def test_driving_what_waits_for_nothing_is_an_error() -> None:
    async def scenario() -> None:
        with pytest.raises(ProtocolError, match="nothing is on its way"):
            await network().drive(asyncio.Event().wait())

    asyncio.run(scenario())
