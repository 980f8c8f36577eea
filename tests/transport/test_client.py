"""The calling side against peers that hold the right certificate and still misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hansa.core.clock import ManualClock
from hansa.core.errors import PeerRefused, TransportError
from hansa.core.types import Address, BlobRef, Peer
from hansa.identity.certificate import NodeCertificate
from hansa.identity.keys import AccountKey
from hansa.identity.typed import Domain
from hansa.transport.client import Client
from hansa.transport.server import tls_context

KEY, OTHER = AccountKey(b"\x01" * 32), AccountKey(b"\x02" * 32)
DOMAIN = Domain(31337, Address("0x" + "ab" * 20))
REF = BlobRef(bytes(32), 1000)
CLOSE = b"connection: close\r\n"


def against(folder: Path, answer: bytes | None, scenario: Callable[[Client, Peer], Awaitable[None]]) -> bytes:
    """Run `scenario` against a peer that answers every request with the same bytes (None: nothing); what the peer heard."""
    heard = bytearray()

    async def whole() -> None:
        certificate = NodeCertificate.load_or_create(folder, OTHER.address, ManualClock().now())
        done = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                heard.extend(await reader.readuntil(b"\r\n\r\n"))
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
                else:
                    await done.wait()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls_context(certificate))
        client = Client(KEY, DOMAIN, ManualClock())
        try:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            await asyncio.wait_for(scenario(client, Peer(OTHER.address, url, certificate.fingerprint)), 10)
        finally:
            done.set()
            await client.close()
            server.close()
            await server.wait_closed()

    asyncio.run(whole())
    return bytes(heard)


def request(
    sentence: str, error: type[TransportError] = TransportError, max_reply: int = 1000, timeout: float = 5.0
) -> Callable[[Client, Peer], Awaitable[None]]:
    async def scenario(client: Client, peer: Peer) -> None:
        with pytest.raises(error, match=sentence) as caught:
            await client.request(peer, "echo", b"body", 0, 0, timeout, max_reply)
        assert type(caught.value) is error

    return scenario


def fetch(sentence: str) -> Callable[[Client, Peer], Awaitable[None]]:
    async def scenario(client: Client, peer: Peer) -> None:
        with pytest.raises(TransportError, match=sentence):
            await client.fetch_range(peer, REF, 0, 100, 5.0)

    return scenario


def reply(status: bytes, body: bytes, *headers: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\ncontent-length: %d\r\n" % len(body) + b"".join(headers) + b"\r\n" + body


def test_a_silent_peer_times_out(tmp_path: Path) -> None:
    against(tmp_path, None, request("did not answer within 0.3 s", timeout=0.3))


def test_a_peer_that_hangs_up_is_an_error(tmp_path: Path) -> None:
    against(tmp_path, b"", request("cannot be used"))


@pytest.mark.parametrize("answer", [b"\x00\x01\x02 nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: abc\r\n\r\n"])
def test_an_answer_that_is_not_http_is_an_error(tmp_path: Path, answer: bytes) -> None:
    against(tmp_path, answer, request("cannot be used"))


def test_endless_headers_are_an_error(tmp_path: Path) -> None:
    against(tmp_path, b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n", request("cannot be used"))


def test_a_reply_shorter_than_announced_is_an_error(tmp_path: Path) -> None:
    against(tmp_path, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", request("cannot be used"))


def test_a_long_reply_is_cut_off_announced_or_not(tmp_path: Path) -> None:
    against(tmp_path, b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\nabc", request("announced 1000000000000 bytes"))
    endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + (b"400\r\n" + bytes(1024) + b"\r\n") * 50
    against(tmp_path, endless, request("sent more than the 1000 bytes"))


def test_a_compressed_bomb_stays_compressed(tmp_path: Path) -> None:
    async def scenario(client: Client, peer: Peer) -> None:
        assert await client.request(peer, "echo", b"", 0, 0, 5.0, 100) == b"\x1f\x8b not unpacked"

    heard = against(tmp_path, reply(b"200 OK", b"\x1f\x8b not unpacked", b"content-encoding: gzip\r\n", CLOSE), scenario)
    assert b"accept-encoding: identity" in heard.lower()


def test_a_redirection_is_not_followed(tmp_path: Path) -> None:
    against(
        tmp_path, reply(b"307 Temporary Redirect", b"", b"location: https://127.0.0.1:1/\r\n", CLOSE), request("status 307 and no reason")
    )


def test_a_cookie_is_not_kept(tmp_path: Path) -> None:
    async def scenario(client: Client, peer: Peer) -> None:
        for _ in range(2):
            assert await client.request(peer, "echo", b"", 0, 0, 5.0, 100) == b"ok"

    heard = against(tmp_path, reply(b"200 OK", b"ok", b"set-cookie: a=b\r\n", CLOSE), scenario)
    assert heard.count(b"POST /v1/echo") == 2 and b"cookie" not in heard.lower()


def test_a_refusal_is_one_bounded_line_of_text_whatever_the_peer_sent(tmp_path: Path) -> None:
    async def scenario(client: Client, peer: Peer) -> None:
        with pytest.raises(PeerRefused) as caught:
            await client.request(peer, "echo", b"", 0, 0, 5.0, 100)
        assert str(caught.value) == "first second [31m" + "x" * 483

    sentence = b"first\\nsecond\\u001b[31m".replace(b"\\u001b", b" ") + b"x" * 1000
    against(tmp_path, reply(b"409 Conflict", b'{"error":"' + sentence + b'"}', CLOSE), scenario)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"detail":"x"}', b'{"error":5}', b'{"error":"' + b"x" * 5000 + b'"}'])
def test_a_refusal_without_a_readable_reason_is_a_transport_error(tmp_path: Path, body: bytes) -> None:
    against(tmp_path, reply(b"500 Oops", body, CLOSE), request("status 500 and no reason"))


def test_a_range_must_come_as_a_part_of_the_right_length(tmp_path: Path) -> None:
    against(tmp_path, reply(b"200 OK", bytes(1000), CLOSE), fetch("the whole blob"))
    against(tmp_path, reply(b"206 Partial Content", bytes(99), CLOSE), fetch("99 bytes of a blob where 100"))
    against(tmp_path, reply(b"206 Partial Content", bytes(101), CLOSE), fetch("announced 101 bytes"))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "https://",
        "file:///etc/passwd",
        "https://user:password@host:1",
        "https://host:1/path",
        "https://host:1?q",
        "127.0.0.1:1",
        "https://host:port",
        "",
    ],
)
def test_an_address_that_is_no_nodes_is_refused_before_it_is_used(url: str) -> None:
    async def scenario() -> None:
        client = Client(KEY, DOMAIN, ManualClock())
        with pytest.raises(TransportError, match="is not a"):
            await client.request(Peer(OTHER.address, url, bytes(32)), "echo", b"", 0, 0, 1.0, 10)
        await client.close()

    asyncio.run(scenario())


def test_a_certificate_of_another_length_is_refused() -> None:
    async def scenario() -> None:
        client = Client(KEY, DOMAIN, ManualClock())
        with pytest.raises(TransportError, match="32 bytes"):
            await client.request(Peer(OTHER.address, "https://127.0.0.1:1", b""), "echo", b"", 0, 0, 1.0, 10)
        await client.close()

    asyncio.run(scenario())
