"""The HTTP client against servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from hansa.chain.rpc import Endpoint, EndpointDown
from hansa.chain.wire import RpcError
from hansa.core.errors import ConfigError, LedgerError

Serve = Callable[[bytes, int], bytes | None]
"""(request body, number of requests on this connection so far) -> raw answer; None closes the connection."""


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[tuple[str, list[int]]]:
    """A scripted HTTP server: its URL, and per connection how many requests it got."""
    counts: list[int] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = len(counts)
        counts.append(0)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                counts[place] += 1
                answer = serve(body, counts[place])
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/path?key=secret", counts


def http(body: bytes, status: str = "200 OK", extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status.encode(), len(body), extra, body)


def result(value: object) -> bytes:
    return http(msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "result": value}))


def ask(serve: Serve, work: Callable[[Endpoint], Awaitable[None]], **options: float) -> list[int]:
    async def main() -> list[int]:
        async with server(serve) as (url, counts):
            endpoint = Endpoint(url, timeout=options.get("timeout", 5.0), max_reply=int(options.get("max_reply", 1000)))
            await work(endpoint)
            await endpoint.close()
        return counts

    return asyncio.run(main())


def test_one_connection_serves_request_after_request() -> None:
    async def work(endpoint: Endpoint) -> None:
        for number in range(3):
            assert await endpoint.request("echo", (number,), list[int]) == [number]

    counts = ask(lambda body, _: result(msgspec.json.decode(body)["params"]), work)
    assert counts == [3]


def test_an_answer_in_chunks_is_joined() -> None:
    whole = msgspec.json.encode({"id": 1, "result": "0x2a"})
    chunks = b"".join([b"%x\r\n%s\r\n" % (1, whole[place : place + 1]) for place in range(len(whole))]) + b"0\r\n\r\n"

    async def work(endpoint: Endpoint) -> None:
        assert await endpoint.request("m", (), str) == "0x2a"

    ask(lambda *_: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, work)


def test_a_connection_closed_while_idle_is_replaced_unnoticed() -> None:
    async def work(endpoint: Endpoint) -> None:
        assert await endpoint.request("m", (), int) == 1
        assert await endpoint.request("m", (), int) == 1

    counts = ask(lambda _, count: result(1) if count == 1 else None, work)
    assert sum(counts) == 3 and len(counts) == 2


def test_a_refusal_is_an_answer_with_code_words_and_data() -> None:
    error = {"code": 3, "message": "execution reverted", "data": "0x0102"}

    async def work(endpoint: Endpoint) -> None:
        with pytest.raises(RpcError, match="execution reverted") as caught:
            await endpoint.request("eth_call", (), str)
        assert (caught.value.code, caught.value.data) == (3, b"\1\2")

    ask(lambda *_: http(msgspec.json.encode({"id": 1, "error": error}), "400 Bad Request"), work)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(b"x" * 2000), "2000 bytes exceeds the limit of 1000"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 2000, "exceeds the limit"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100 + b"\r\n", "too many headers"),
        (b"SSH-2.0-nothing\r\n\r\n", "not HTTP"),
        (http(b"<html>"), "does not speak JSON-RPC"),
        (http(b"[" * 900), "does not speak JSON-RPC"),
        (http(b"busy", "429 Too Many Requests"), "HTTP 429"),
        (http(b"broken", "502 Bad Gateway"), "HTTP 502"),
        (None, "unreachable"),
    ],
)
def test_an_unusable_answer_is_bounded_and_said_without_the_key(answer: bytes | None, words: str) -> None:
    async def work(endpoint: Endpoint) -> None:
        with pytest.raises(EndpointDown, match=words) as caught:
            await endpoint.request("m", (), str)
        assert "secret" not in str(caught.value) and "127.0.0.1" in str(caught.value)

    ask(lambda *_: answer, work)


def test_silence_is_bounded() -> None:
    async def work(endpoint: Endpoint) -> None:
        with pytest.raises(EndpointDown, match="did not answer m in 0.05 s"):
            await endpoint.request("m", (), str)

    ask(lambda *_: b"", work, timeout=0.05)


def test_a_result_of_another_shape_is_said() -> None:
    async def work(endpoint: Endpoint) -> None:
        with pytest.raises(LedgerError, match="does not have the shape"):
            await endpoint.request("m", (), int)

    ask(lambda *_: result("text"), work)


@pytest.mark.parametrize("url", ["ws://host:1", "http://", "http://user:password@host", "127.0.0.1:8545"])
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="an endpoint is written"):
        Endpoint(url)
