"""The supervisor's line to its node: JSON-RPC over a unix socket, one JSON value a line, many requests under way at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from hansa.chain.wire import Reply, request_body
from hansa.core.errors import LedgerUnreachable

T = TypeVar("T")


class NodeGone(LedgerUnreachable):
    """The node's process ended or closed the socket while we were talking to it."""


class Ipc(asyncio.Protocol):
    """One connection; answers are matched to requests by their number."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._parts: list[bytes] = []
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._next = 0
        self.on_lost: Callable[[], None] = lambda: None
        """Called once when the connection ends, whoever ended it."""

    @classmethod
    async def connect(cls, path: Path) -> Ipc:
        _, connection = await asyncio.get_running_loop().create_unix_connection(cls, str(path))
        return connection

    async def raw(self, method: str, params: object) -> Reply:
        """One request and its answer as it came, an error object included; NodeGone when the connection breaks."""
        if self._transport is None or self._transport.is_closing():
            raise NodeGone("the embedded node's socket is closed")
        loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._next += 1
        future: asyncio.Future[Reply]
        self._waiting[self._next] = future = loop.create_future()
        self._transport.write(request_body(self._next, method, params))
        return await future

    async def request(self, method: str, params: object, shape: type[T]) -> T:
        """The result in the given shape; RpcError when the node refuses."""
        return (await self.raw(method, params)).result_as(shape)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._parts.append(line)
            reply = msgspec.json.decode(b"".join(self._parts), type=Reply)
            self._parts.clear()
            waiting = self._waiting.pop(reply.id, None) if isinstance(reply.id, int) else None
            if waiting is not None and not waiting.done():
                waiting.set_result(reply)
        if rest:
            self._parts.append(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(NodeGone("the embedded node ended while it was answering"))
        self._waiting.clear()
        self.on_lost()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
