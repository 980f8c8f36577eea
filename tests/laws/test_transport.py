"""The laws of `Transport`, over HTTPS on loopback and over the in-memory network."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from hansa.core.errors import HansaError, PeerRefused, ProtocolError, TransportError
from hansa.core.types import Address, BlobRef, Envelope, Peer
from hansa.transport.https import HttpsTransport

from .transport_world import BLOB, REF, Run, World, blobs, echo, runner


@pytest.fixture(params=["https", "memory"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    return runner(request.param, tmp_path)


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
