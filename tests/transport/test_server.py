"""The listening socket against strangers who speak TLS but not HTTP, slowly, endlessly, or too often."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.core.clock import ManualClock
from hansa.core.encoding import sha256
from hansa.core.errors import ConfigError
from hansa.core.types import Address, BlobRef, Envelope, Peer
from hansa.identity.certificate import NodeCertificate
from hansa.identity.envelope import seal
from hansa.identity.keys import AccountKey
from hansa.identity.typed import Domain
from hansa.transport import application, server
from hansa.transport.header import NAME, to_header
from hansa.transport.https import HttpsTransport
from hansa.transport.limits import Limits
from hansa.transport.reception import range_digest

KEY, CALLER = AccountKey(b"\x01" * 32), AccountKey(b"\x02" * 32)
DOMAIN = Domain(31337, Address("0x" + "ab" * 20))
REF = BlobRef(bytes(32), 64 << 20)


async def echo(envelope: Envelope, body: bytes) -> bytes:
    return body


async def zeros(requester: Address, ref: BlobRef, offset: int, length: int) -> bytes:
    return bytes(length)


def node(folder: Path, limits: Limits | None = None, port: int = 0) -> HttpsTransport:
    clock = ManualClock()
    certificate = NodeCertificate.load_or_create(folder, KEY.address, clock.now())
    return HttpsTransport(KEY, DOMAIN, certificate, clock, admit=lambda _: True, limits=limits, port=port)


def run(folder: Path, scenario: Callable[[HttpsTransport], Awaitable[None]], limits: Limits | None = None) -> None:
    async def whole() -> None:
        transport = node(folder, limits)
        await transport.serve({"echo": echo}, zeros)
        try:
            await asyncio.wait_for(scenario(transport), 20)
        finally:
            await transport.close(grace=0.2)

    asyncio.run(whole())


async def dial(peer: Peer, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    host, port = peer.url.removeprefix("https://").split(":")
    return await asyncio.open_connection(host, int(port), ssl=context)


async def say(peer: Peer, data: bytes) -> bytes:
    """Everything the node answers until it closes the connection."""
    reader, writer = await dial(peer)
    try:
        writer.write(data)
        await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def signed_post(body: bytes) -> bytes:
    envelope = seal(CALLER, DOMAIN, recipient=KEY.address, kind="echo", body_digest=sha256(body), now=ManualClock().now())
    head = f"POST /v1/echo HTTP/1.1\r\nhost: x\r\n{NAME}: {to_header(envelope)}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def test_only_tls_1_3_is_spoken(tmp_path: Path) -> None:
    async def scenario(transport: HttpsTransport) -> None:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dial(transport.peer, ssl.TLSVersion.TLSv1_2)
        host, port = transport.peer.url.removeprefix("https://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200" not in await reader.read()
        writer.close()

    run(tmp_path, scenario)


def test_several_requests_share_a_connection_and_pipelines_are_answered_in_order(tmp_path: Path) -> None:
    async def scenario(transport: HttpsTransport) -> None:
        reader, writer = await dial(transport.peer)
        writer.write(b"".join(signed_post(b"body %d" % number) for number in range(3)))
        for number in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200") and b"connection: close" not in head
            assert await reader.readexactly(6) == b"body %d" % number
        writer.write(signed_post(b"again"))
        assert b"200" in await reader.readuntil(b"\r\n\r\n")
        writer.close()

    run(tmp_path, scenario)


def test_a_strangers_connection_is_closed_after_its_answer(tmp_path: Path) -> None:
    async def scenario(transport: HttpsTransport) -> None:
        answer = await say(transport.peer, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b'{"ok":true}')
        answer = await say(transport.peer, b"POST /v1/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc")
        assert answer.startswith(b"HTTP/1.1 401") and b"sign the request" in answer

    run(tmp_path, scenario)


def test_answers_do_not_name_the_software(tmp_path: Path) -> None:
    async def scenario(transport: HttpsTransport) -> None:
        answer = await say(transport.peer, b"GET /absent HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"server:" not in answer.lower() and b"uvicorn" not in answer.lower()

    run(tmp_path, scenario)


@pytest.mark.parametrize("piece", [b"x-%d: " + b"a" * 1000 + b"\r\n", b"a" * 1024])
def test_endless_headers_are_cut_off(tmp_path: Path, piece: bytes) -> None:
    async def scenario(transport: HttpsTransport) -> None:
        reader, writer = await dial(transport.peer)
        writer.write(b"GET /healthz HTTP/1.1\r\nx-first: ")
        sent = 0
        try:
            for number in range(4000):
                data = piece.replace(b"%d", b"%d" % number)
                writer.write(data)
                await writer.drain()
                sent += len(data)
            answer = await reader.read()
        except ConnectionError:
            answer = b""
        assert sent < 4000 * 1000 or b"400" in answer
        assert b"200 OK" not in answer
        writer.close()

    run(tmp_path, scenario)


@pytest.mark.parametrize("begin", [b"", b"GET /healthz HT", b"\r\n"])
def test_a_head_that_does_not_come_ends_the_connection(tmp_path: Path, begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_HEAD_SECONDS", 0.1)

    async def scenario(transport: HttpsTransport) -> None:
        assert await say(transport.peer, begin) == b""

    run(tmp_path, scenario)


def test_stray_line_breaks_between_requests_do_not_hold_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_HEAD_SECONDS", 0.6)

    async def scenario(transport: HttpsTransport) -> None:
        reader, writer = await dial(transport.peer)
        writer.write(signed_post(b"abc"))
        await reader.readuntil(b"\r\n\r\nabc")
        writer.write(b"\r\n")
        try:
            assert await reader.read() == b""
        except ConnectionError:
            pass
        writer.close()

    run(tmp_path, scenario)


def test_connections_beyond_the_limit_are_refused_and_those_within_it_work_on(tmp_path: Path) -> None:
    async def scenario(transport: HttpsTransport) -> None:
        held = [await dial(transport.peer) for _ in range(2)]
        assert await say(transport.peer, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n") == b""
        reader, writer = held[0]
        writer.write(signed_post(b"abc"))
        assert b"200" in await reader.readuntil(b"\r\n\r\nabc")
        for _, other in held:
            other.close()
            await other.wait_closed()
        assert b"200" in await say(transport.peer, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")

    run(tmp_path, scenario, Limits(connections=2))


def test_a_reader_that_stops_is_given_up_and_the_blob_not_held_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "_STALL", 0.2)
    monkeypatch.setattr(application, "_SLOWEST", 1 << 30)
    read = []

    async def noting(requester: Address, ref: BlobRef, offset: int, length: int) -> bytes:
        read.append(length)
        return bytes(length)

    async def whole() -> None:
        transport = node(tmp_path)
        await transport.serve({}, noting)
        digest = range_digest(REF, 0, REF.size)
        envelope = seal(CALLER, DOMAIN, recipient=KEY.address, kind="blob", body_digest=digest, now=ManualClock().now())
        reader, writer = await dial(transport.peer)
        writer.write(f"GET /ipfs/{'00' * 32}?size={REF.size} HTTP/1.1\r\nhost: x\r\n{NAME}: {to_header(envelope)}\r\n\r\n".encode())
        await reader.readexactly(1000)
        assert transport.reception.busy == 1
        await transport.close(grace=15.0)  # returns once the request has ended by itself
        assert transport.reception.busy == 0
        assert 0 < sum(read) < REF.size / 2
        writer.transport.abort()

    asyncio.run(asyncio.wait_for(whole(), 10))


def test_closing_lets_a_request_in_progress_finish(tmp_path: Path) -> None:
    async def whole() -> None:
        transport, caller = node(tmp_path), node(tmp_path)
        begun, release = asyncio.Event(), asyncio.Event()

        async def slow(envelope: Envelope, body: bytes) -> bytes:
            begun.set()
            await release.wait()
            return b"done"

        await transport.serve({"slow": slow})
        answer = asyncio.ensure_future(caller.request(transport.peer, "slow", b""))
        await begun.wait()
        closing = asyncio.ensure_future(transport.close(grace=10.0))
        await asyncio.sleep(0)
        release.set()
        assert await answer == b"done"
        await closing
        await caller.close()

    asyncio.run(asyncio.wait_for(whole(), 20))


def test_an_address_in_use_is_one_sentence(tmp_path: Path) -> None:
    async def scenario(transport: HttpsTransport) -> None:
        second = node(tmp_path, port=int(transport.peer.url.rsplit(":", 1)[1]))
        with pytest.raises(ConfigError, match="choose another address or port"):
            await second.serve({})
        with pytest.raises(ConfigError, match="cannot listen"):
            await node(tmp_path, port=99999).serve({})

    run(tmp_path, scenario)


def test_no_bytes_bring_about_a_500_or_stop_the_node(tmp_path: Path) -> None:
    noise = st.binary(max_size=200) | st.builds(
        lambda line, names, rest: line + b"\r\n" + b"".join(name + b"\r\n" for name in names) + b"\r\n" + rest,
        st.sampled_from(
            [b"GET /healthz HTTP/1.1", b"POST /v1/echo HTTP/1.1", b"GET http://a/b HTTP/1.1", b"PRI * HTTP/2.0", b"GET /%ff%00 HTTP/1.0"]
        )
        | st.binary(max_size=40),
        st.lists(
            st.sampled_from(
                [
                    b"host: x",
                    b"content-length: 5",
                    b"content-length: -1",
                    b"transfer-encoding: chunked",
                    b"upgrade: websocket",
                    b"expect: 100-continue",
                ]
            )
            | st.binary(max_size=30),
            max_size=4,
        ),
        st.binary(max_size=30),
    )
    with asyncio.Runner() as runner:
        transport = node(tmp_path)
        runner.run(transport.serve({"echo": echo}, zeros))

        async def whole_answer(data: bytes) -> bytes:
            reader, writer = await dial(transport.peer)
            try:
                writer.write(data)
                writer.write_eof() if writer.can_write_eof() else None
                await writer.drain()
                return await asyncio.wait_for(reader.read(), 0.05)
            except (ConnectionError, TimeoutError):
                return b""
            finally:
                writer.transport.abort()

        @settings(max_examples=80, deadline=None)
        @given(noise)
        def throw(data: bytes) -> None:
            answer = runner.run(whole_answer(data))
            assert not answer.startswith(b"HTTP/1.1 5") and b"Traceback" not in answer

        throw()
        assert b"200" in runner.run(say(transport.peer, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"))
        runner.run(transport.close(grace=0.0))
