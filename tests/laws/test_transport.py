"""The laws of `Transport`, over HTTPS on loopback and over the in-memory network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

import aiohttp
import msgspec
import pytest

from hansa.core.clock import ManualClock
from hansa.core.encoding import sha256
from hansa.core.errors import BlobUnavailable, HansaError, PeerRefused, ProtocolError, TransportError
from hansa.core.ports import Transport
from hansa.core.types import Address, BlobRef, Envelope, Peer
from hansa.identity.certificate import NodeCertificate
from hansa.identity.envelope import LIFETIME, seal
from hansa.identity.keys import AccountKey
from hansa.identity.replay import MAX_AHEAD
from hansa.identity.typed import Domain
from hansa.transport.header import NAME, to_header
from hansa.transport.https import HttpsTransport
from hansa.transport.limits import Limits
from hansa.transport.memory import MemoryNetwork, MemoryTransport

T = TypeVar("T")

DOMAIN = Domain(31337, Address("0x" + "ab" * 20))
BLOB = bytes(range(256)) * 5000
REF = BlobRef(sha256(BLOB), len(BLOB))


def key(number: int) -> AccountKey:
    return AccountKey(number.to_bytes(32, "big"))


class Node(Transport, Protocol):
    account: Address

    @property
    def peer(self) -> Peer: ...


class World:
    """Nodes of one kind that can reach each other, and a way around their honest senders."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.clock = ManualClock()
        self._kind, self._folder = kind, folder
        self._network = MemoryNetwork(DOMAIN, self.clock)
        self._nodes: list[Node] = []

    def node(
        self,
        number: int,
        admit: Callable[[Address], bool] = lambda _: True,
        limits: Limits | None = None,
        restarted_at: float | None = None,
    ) -> Node:
        made: Node
        if self._kind == "memory":
            made = self._network.transport(key(number), admit=admit, limits=limits, restarted_at=restarted_at)
        else:
            certificate = NodeCertificate.load_or_create(self._folder / str(number), key(number).address, self.clock.now())
            made = HttpsTransport(key(number), DOMAIN, certificate, self.clock, admit=admit, limits=limits, restarted_at=restarted_at)
        self._nodes.append(made)
        return made

    async def post(self, node: Node, envelope: Envelope, body: bytes, kind: str = "echo") -> bytes:
        """What a stranger can put on the wire: any envelope with any body."""
        if isinstance(node, MemoryTransport):
            return await self._network.deliver(node.peer, kind, envelope, body)
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{node.peer.url}/v1/{kind}", data=body, headers={NAME: to_header(envelope)}, ssl=False) as reply,
        ):
            if reply.status != 200:
                raise PeerRefused((await reply.json())["error"])
            return await reply.read()

    async def wait(self, work: Awaitable[T]) -> T:
        """The result of work that waits for the time to pass."""
        return await (self._network.drive(work) if self._kind == "memory" else work)

    async def close(self) -> None:
        for node in self._nodes:
            await node.close()


@pytest.fixture(params=["https", "memory"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Callable[[World], Awaitable[None]]], None]:
    """Runs one scenario in a world of its own."""

    def runner(scenario: Callable[[World], Awaitable[None]]) -> None:
        async def whole() -> None:
            world = World(request.param, tmp_path)
            try:
                await asyncio.wait_for(scenario(world), 20)
            finally:
                await world.close()

        asyncio.run(whole())

    return runner


Run = Callable[[Callable[[World], Awaitable[None]]], None]


async def echo(envelope: Envelope, body: bytes) -> bytes:
    return envelope.sender.encode() + b"|" + body


async def blobs(requester: Address, ref: BlobRef, offset: int, length: int) -> bytes:
    if ref != REF:
        raise BlobUnavailable("this blob is not here")
    return BLOB[offset : offset + length]


def sealed(world: World, sender: AccountKey, recipient: Address, body: bytes, kind: str = "echo", ago: float = 0.0) -> Envelope:
    return seal(sender, DOMAIN, recipient=recipient, kind=kind, body_digest=sha256(body), now=world.clock.now() - ago)


def test_a_request_comes_back_with_the_handlers_answer_and_a_proven_sender(run: Run) -> None:
    async def scenario(world: World) -> None:
        server, client = world.node(1), world.node(2)
        seen: list[Envelope] = []

        async def handler(envelope: Envelope, body: bytes) -> bytes:
            seen.append(envelope)
            return body[::-1]

        url = await server.serve({"turn-round": handler})
        assert url == server.peer.url
        assert await client.request(server.peer, "turn-round", b"abc", job=7, round=3) == b"cba"
        assert (seen[0].sender, seen[0].recipient, seen[0].job, seen[0].round) == (client.account, server.account, 7, 3)
        assert await client.request(server.peer, "turn-round", b"") == b""

    run(scenario)


def test_a_refusals_sentence_reaches_the_sender(run: Run) -> None:
    async def scenario(world: World) -> None:
        server, client = world.node(1), world.node(2)

        async def refuse(envelope: Envelope, body: bytes) -> bytes:
            raise ProtocolError("round 4 is closed; send your update to round 5")

        await server.serve({"refuse": refuse})
        with pytest.raises(PeerRefused, match=r"^round 4 is closed; send your update to round 5$"):
            await client.request(server.peer, "refuse", bytes(1000))
        with pytest.raises(PeerRefused, match="does not serve requests of kind 'other'"):
            await client.request(server.peer, "other", b"")

    run(scenario)


def test_a_handlers_failure_does_not_show_its_inside(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        server, client = world.node(1), world.node(2)

        async def fail(envelope: Envelope, body: bytes) -> bytes:
            raise KeyError("a secret of the inside")

        await server.serve({"fail": fail, "echo": echo})
        with pytest.raises(PeerRefused, match="^this node failed on the request") as caught:
            await client.request(server.peer, "fail", b"")
        assert "secret" not in str(caught.value)
        assert (await client.request(server.peer, "echo", b"x")).endswith(b"|x")

    run(scenario)
    assert "a secret of the inside" in caplog.text


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


def test_a_reply_over_the_callers_limit_is_refused(run: Run) -> None:
    async def scenario(world: World) -> None:
        server, client = world.node(1), world.node(2)

        async def long(envelope: Envelope, body: bytes) -> bytes:
            return bytes(700_000)

        await server.serve({"long": long})
        assert len(await client.request(server.peer, "long", b"", max_reply=700_000)) == 700_000
        with pytest.raises(TransportError, match="at most 699999 are accepted"):
            await client.request(server.peer, "long", b"", max_reply=699_999)

    run(scenario)


def test_a_wrong_certificate_is_refused_before_anything_is_sent(run: Run) -> None:
    async def scenario(world: World) -> None:
        server, client = world.node(1), world.node(2)
        heard: list[bytes] = []

        async def handler(envelope: Envelope, body: bytes) -> bytes:
            heard.append(body)
            return b""

        await server.serve({"echo": handler}, blobs)
        wrong = msgspec.structs.replace(server.peer, certificate=bytes(32))
        with pytest.raises(TransportError, match="another certificate"):
            await client.request(wrong, "echo", b"confidential")
        with pytest.raises(TransportError, match="another certificate"):
            await client.fetch_range(wrong, REF, 0, 10)
        assert not heard

    run(scenario)


def test_a_silent_handler_times_out(run: Run) -> None:
    async def scenario(world: World) -> None:
        server, client = world.node(1), world.node(2)

        async def silent(envelope: Envelope, body: bytes) -> bytes:
            await asyncio.Event().wait()
            raise AssertionError

        await server.serve({"silent": silent})
        with pytest.raises(TransportError, match="did not answer within 0.05 s") as caught:
            await world.wait(client.request(server.peer, "silent", b"", timeout=0.05))
        assert not isinstance(caught.value, PeerRefused)
        if isinstance(server, HttpsTransport):
            await server.close(grace=0.0)

    run(scenario)


def test_a_peer_that_is_not_there_is_an_error(run: Run) -> None:
    async def scenario(world: World) -> None:
        server, client = world.node(1), world.node(2)
        await server.serve({"echo": echo})
        peer = server.peer
        await server.close()
        with pytest.raises(TransportError, match="cannot be used"):
            await client.request(peer, "echo", b"")

    run(scenario)


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (0, len(BLOB)), (len(BLOB) - 1, 1), (1, (1 << 20) + 1), (12345, 67)])
def test_a_range_is_exactly_what_was_asked_for(run: Run, offset: int, length: int) -> None:
    async def scenario(world: World) -> None:
        server, client = world.node(1), world.node(2)
        await server.serve({}, blobs)
        assert await client.fetch_range(server.peer, REF, offset, length) == BLOB[offset : offset + length]

    run(scenario)


@pytest.mark.parametrize(("offset", "length"), [(-1, 5), (0, 0), (0, len(BLOB) + 1), (len(BLOB), 1)])
def test_a_range_outside_the_blob_is_an_error(run: Run, offset: int, length: int) -> None:
    async def scenario(world: World) -> None:
        server, client = world.node(1), world.node(2)
        await server.serve({}, blobs)
        with pytest.raises(TransportError, match="do not lie within"):
            await client.fetch_range(server.peer, REF, offset, length)

    run(scenario)


def test_a_range_of_an_absent_or_shorter_blob_is_refused(run: Run) -> None:
    async def scenario(world: World) -> None:
        server, plain, client = world.node(1), world.node(3), world.node(2)

        async def short(requester: Address, ref: BlobRef, offset: int, length: int) -> bytes:
            return BLOB[: length - 1]

        await server.serve({}, blobs)
        with pytest.raises(PeerRefused, match="^this blob is not here$"):
            await client.fetch_range(server.peer, BlobRef(bytes(32), 10), 0, 10)
        await plain.serve({})
        with pytest.raises(PeerRefused, match="serves no blobs"):
            await client.fetch_range(plain.peer, REF, 0, 10)
        await server.close()
        await server.serve({}, short)
        with pytest.raises(PeerRefused, match="holds 9 bytes at offset 5"):
            await client.fetch_range(server.peer, REF, 5, 10)

    run(scenario)


def test_the_requester_of_a_range_is_proven(run: Run) -> None:
    async def scenario(world: World) -> None:
        server, client = world.node(1), world.node(2)
        requesters: list[Address] = []

        async def noting(requester: Address, ref: BlobRef, offset: int, length: int) -> bytes:
            requesters.append(requester)
            return BLOB[offset : offset + length]

        await server.serve({}, noting)
        await client.fetch_range(server.peer, REF, 0, 10)
        assert requesters == [client.account]

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
        server, client = world.node(1, limits=Limits(buffered=1500)), world.node(2)
        release, waiting = asyncio.Event(), asyncio.Semaphore(0)

        async def hold(envelope: Envelope, body: bytes) -> bytes:
            waiting.release()
            await release.wait()
            return b"done"

        await server.serve({"hold": hold})
        held = asyncio.ensure_future(client.request(server.peer, "hold", bytes(1000)))
        await waiting.acquire()
        with pytest.raises(PeerRefused, match="busy"):
            await client.request(server.peer, "hold", bytes(501))
        release.set()
        assert await held == b"done"
        assert await client.request(server.peer, "hold", bytes(1500)) == b"done"

    run(scenario)


@pytest.mark.parametrize("kind", ["blob", "Upper", "a/b", "", "x" * 33])
def test_a_kind_that_cannot_be_served_or_sent_is_refused(run: Run, kind: str) -> None:
    async def scenario(world: World) -> None:
        server = world.node(1)
        with pytest.raises(ProtocolError, match="cannot be served"):
            await server.serve({kind: echo})
        if kind != "blob":
            with pytest.raises(HansaError, match="names no kind of request"):
                await world.node(2).request(Peer(server.account, "https://127.0.0.1:1", bytes(32)), kind, b"")

    run(scenario)


def test_serving_twice_is_an_error_and_closing_twice_is_not(run: Run) -> None:
    async def scenario(world: World) -> None:
        server = world.node(1)
        await server.serve({"echo": echo})
        with pytest.raises(ProtocolError, match="already serves"):
            await server.serve({"echo": echo})
        await server.close()
        await server.close()

    run(scenario)
