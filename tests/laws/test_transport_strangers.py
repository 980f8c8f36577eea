"""The laws of `Transport` about those who may not be trusted: forged, replayed, late, too large, too many."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from hansa.core.errors import PeerRefused
from hansa.core.types import Envelope
from hansa.identity.envelope import LIFETIME
from hansa.identity.replay import MAX_AHEAD
from hansa.transport.limits import Limits

from .transport_world import REF, Run, World, blobs, echo, key, runner, sealed


@pytest.fixture(params=["https", "memory"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    return runner(request.param, tmp_path)


def test_a_replayed_envelope_is_refused(run: Run) -> None:
    async def scenario(world: World) -> None:
        server = world.node(1)
        await server.serve({"echo": echo})
        envelope = sealed(world, key(2), server.account, b"pay")
        assert (await world.post(server, envelope, b"pay")).endswith(b"|pay")
        with pytest.raises(PeerRefused, match="received before"):
            await world.post(server, envelope, b"pay")

    run(scenario)


def test_after_a_restart_an_old_envelope_is_refused_and_a_later_one_is_not(run: Run) -> None:
    async def scenario(world: World) -> None:
        first = world.node(1)
        await first.serve({"echo": echo})
        envelope = sealed(world, key(2), first.account, b"pay")
        await world.post(first, envelope, b"pay")
        await first.close()
        second = world.node(1, restarted_at=world.clock.now())
        await second.serve({"echo": echo})
        with pytest.raises(PeerRefused, match="restarted a moment ago"):
            await world.post(second, envelope, b"pay")
        world.clock.advance(MAX_AHEAD - LIFETIME + 1)
        assert (await world.post(second, sealed(world, key(2), second.account, b"new"), b"new")).endswith(b"|new")

    run(scenario)


@pytest.mark.parametrize(("ago", "sentence"), [(LIFETIME + 1.5, "expired"), (LIFETIME - MAX_AHEAD - 1.5, "expires more than")])
def test_an_expired_envelope_and_one_from_the_future_are_refused(run: Run, ago: float, sentence: str) -> None:
    async def scenario(world: World) -> None:
        server = world.node(1)
        await server.serve({"echo": echo})
        with pytest.raises(PeerRefused, match=sentence):
            await world.post(server, sealed(world, key(2), server.account, b"", ago=ago), b"")

    run(scenario)


def test_an_envelope_for_another_recipient_or_kind_is_refused(run: Run) -> None:
    async def scenario(world: World) -> None:
        server = world.node(1)
        await server.serve({"echo": echo, "other": echo})
        with pytest.raises(PeerRefused, match="for another recipient"):
            await world.post(server, sealed(world, key(2), key(3).address, b""), b"")
        with pytest.raises(PeerRefused, match="another kind"):
            await world.post(server, sealed(world, key(2), server.account, b"", kind="other"), b"")

    run(scenario)


def test_a_tampered_body_is_refused_and_does_not_use_up_the_envelope(run: Run) -> None:
    async def scenario(world: World) -> None:
        server = world.node(1)
        await server.serve({"echo": echo})
        envelope = sealed(world, key(2), server.account, b"pay 1")
        with pytest.raises(PeerRefused, match="not the one that was signed"):
            await world.post(server, envelope, b"pay 9")
        assert (await world.post(server, envelope, b"pay 1")).endswith(b"|pay 1")

    run(scenario)


@pytest.mark.parametrize("change", [{"sender": key(3).address}, {"job": 2}, {"round": 9}, {"nonce": bytes(32)}, {"signature": bytes(65)}])
def test_a_forged_envelope_is_refused(run: Run, change: dict[str, object]) -> None:
    async def scenario(world: World) -> None:
        server = world.node(1)
        await server.serve({"echo": echo})
        envelope = msgspec.structs.replace(sealed(world, key(2), server.account, b""), **change)
        with pytest.raises(PeerRefused, match="not signed by its sender|signature cannot be checked"):
            await world.post(server, envelope, b"")

    run(scenario)


def test_an_account_that_is_not_admitted_is_refused(run: Run) -> None:
    async def scenario(world: World) -> None:
        friend, stranger = world.node(2), world.node(3)
        server = world.node(1, admit=lambda account: account == friend.account)
        await server.serve({"echo": echo}, blobs)
        assert (await friend.request(server.peer, "echo", b"x")).endswith(b"|x")
        with pytest.raises(PeerRefused, match="is not admitted"):
            await stranger.request(server.peer, "echo", b"x")
        with pytest.raises(PeerRefused, match="is not admitted"):
            await stranger.fetch_range(server.peer, REF, 0, 10)
        borrowed = msgspec.structs.replace(sealed(world, key(3), server.account, b""), sender=friend.account)
        with pytest.raises(PeerRefused, match="not signed by its sender"):
            await world.post(server, borrowed, b"")

    run(scenario)


def test_a_body_over_the_limit_of_its_kind_is_refused(run: Run) -> None:
    async def scenario(world: World) -> None:
        server, client = world.node(1, limits=Limits(body=1000, bodies={"long": 200_000})), world.node(2)
        await server.serve({"echo": echo, "long": echo})
        assert len(await client.request(server.peer, "echo", bytes(1000))) == 1043
        for size in (1001, 5 << 20):
            with pytest.raises(PeerRefused, match=f"{size} bytes exceeds the limit of 1000"):
                await client.request(server.peer, "echo", bytes(size))
        assert len(await client.request(server.peer, "long", bytes(200_000))) == 200_043

    run(scenario)


def test_too_many_requests_of_one_sender_are_refused_and_time_heals(run: Run) -> None:
    async def scenario(world: World) -> None:
        server, client, other = world.node(1, limits=Limits(rate=1.0, burst=3.0)), world.node(2), world.node(3)
        await server.serve({"echo": echo})
        for _ in range(3):
            await client.request(server.peer, "echo", b"")
        with pytest.raises(PeerRefused, match="too many requests"):
            await client.request(server.peer, "echo", b"")
        await other.request(server.peer, "echo", b"")
        world.clock.advance(1.0)
        await client.request(server.peer, "echo", b"")

    run(scenario)


def test_requests_in_progress_are_bounded(run: Run) -> None:
    async def scenario(world: World) -> None:
        limits = Limits(requests=3, requests_per_sender=2)
        server, client, other = world.node(1, limits=limits), world.node(2), world.node(3)
        release, waiting = asyncio.Event(), asyncio.Semaphore(0)

        async def hold(envelope: Envelope, body: bytes) -> bytes:
            waiting.release()
            await release.wait()
            return b"done"

        await server.serve({"hold": hold})
        held = [asyncio.ensure_future(client.request(server.peer, "hold", b"")) for _ in range(2)]
        for _ in held:
            await waiting.acquire()
        with pytest.raises(PeerRefused, match="2 of your requests are in progress"):
            await client.request(server.peer, "hold", b"")
        held.append(asyncio.ensure_future(other.request(server.peer, "hold", b"")))
        await waiting.acquire()
        with pytest.raises(PeerRefused, match="busy"):
            await other.request(server.peer, "hold", b"")
        release.set()
        assert await asyncio.gather(*held) == [b"done"] * 3
        assert await client.request(server.peer, "hold", b"") == b"done"

    run(scenario)


def test_bytes_in_progress_are_bounded(run: Run) -> None:
    async def scenario(world: World) -> None:
        limits = Limits(buffered=2500, buffered_per_sender=1500)
        server, client, other = world.node(1, limits=limits), world.node(2), world.node(3)
        release, waiting = asyncio.Event(), asyncio.Semaphore(0)

        async def hold(envelope: Envelope, body: bytes) -> bytes:
            waiting.release()
            await release.wait()
            return b"done"

        await server.serve({"hold": hold})
        held = asyncio.ensure_future(client.request(server.peer, "hold", bytes(1001)))
        await waiting.acquire()
        with pytest.raises(PeerRefused, match="1001 bytes of yours are in progress"):
            await client.request(server.peer, "hold", bytes(500))
        with pytest.raises(PeerRefused, match="busy"):
            await other.request(server.peer, "hold", bytes(1500))
        release.set()
        assert await held == b"done"
        assert await client.request(server.peer, "hold", bytes(1500)) == b"done"

    run(scenario)
