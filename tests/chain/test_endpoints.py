"""Several endpoints as one: the highest head, failover, and endpoints of another chain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from hansa.chain import endpoints as subject
from hansa.chain.endpoints import Endpoints
from hansa.core.errors import ConfigError, LedgerUnreachable, WrongChain


class Node:
    """A chain's endpoint reduced to its id and its height."""

    def __init__(self, chain: int, head: int) -> None:
        self.chain, self.head, self.asked, self.url = chain, head, 0, ""
        self._server: asyncio.Server | None = None

    def answer(self, body: bytes) -> bytes:
        method = msgspec.json.decode(body)["method"]
        self.asked += method == "who"
        value = {"eth_chainId": hex(self.chain), "eth_blockNumber": hex(self.head), "who": self.url}[method]
        return msgspec.json.encode({"id": 1, "result": value})

    async def start(self) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    body = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
                    answer = self.answer(body)
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        self._server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


def among(nodes: list[Node], work: Callable[[Endpoints], Awaitable[None]], chain_id: int | None = None) -> None:
    async def main() -> None:
        for node in nodes:
            await node.start()
        try:
            opened = await Endpoints.open([node.url for node in nodes], chain_id)
            await work(opened)
            await opened.close()
        finally:
            for node in nodes:
                await node.stop()

    asyncio.run(main())


async def who(opened: Endpoints) -> str:
    return await opened.request("who", (), str)


def test_the_highest_head_is_asked_and_of_equals_the_first() -> None:
    nodes = [Node(7, 10), Node(7, 90), Node(7, 90)]

    async def work(opened: Endpoints) -> None:
        assert opened.chain_id == 7
        assert await who(opened) == nodes[1].url

    among(nodes, work)


def test_a_small_lead_does_not_make_it_change() -> None:
    nodes = [Node(7, 10), Node(7, 11)]

    async def work(opened: Endpoints) -> None:
        assert await who(opened) == nodes[0].url

    among(nodes, work)


def test_an_unreachable_endpoint_is_left_and_may_come_back() -> None:
    nodes = [Node(7, 10), Node(7, 10)]

    async def work(opened: Endpoints) -> None:
        assert await who(opened) == nodes[0].url
        await nodes[0].stop()
        opened._endpoints[0]._idle.clear()
        assert await who(opened) == nodes[1].url
        await nodes[1].stop()
        opened._endpoints[1]._idle.clear()
        with pytest.raises(LedgerUnreachable, match=f"tried {nodes[0].url}, {nodes[1].url}"):
            await who(opened)

    among(nodes, work)


def test_a_lagging_endpoint_is_left_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_PROBE_SECONDS", -1.0)
    nodes = [Node(7, 10), Node(7, 10)]

    async def work(opened: Endpoints) -> None:
        assert await who(opened) == nodes[0].url
        nodes[1].head = 13
        assert await who(opened) == nodes[1].url
        nodes[0].head = 14
        assert await who(opened) == nodes[1].url

    among(nodes, work)


def test_another_chain_is_refused_at_once_and_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(opened: Endpoints) -> None:
        raise AssertionError("opened")

    with pytest.raises(WrongChain, match="serves chain 8, not 7"):
        among([Node(7, 10), Node(8, 10)], nothing)
    with pytest.raises(WrongChain, match="serves chain 7, not 9"):
        among([Node(7, 10)], nothing, chain_id=9)
    monkeypatch.setattr(subject, "_PROBE_SECONDS", -1.0)
    nodes = [Node(7, 10), Node(7, 10)]

    async def later(opened: Endpoints) -> None:
        nodes[1].chain = 8
        with pytest.raises(WrongChain):
            await who(opened)

    among(nodes, later)


def test_no_endpoint_or_none_that_answers() -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match="no endpoint"):
            await Endpoints.open([])
        node = Node(7, 1)
        await node.start()
        await node.stop()
        with pytest.raises(LedgerUnreachable, match=f"tried {node.url}"):
            await Endpoints.open([node.url])

    asyncio.run(main())
