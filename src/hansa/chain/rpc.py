"""One JSON-RPC endpoint over HTTP/1.1: kept-alive connections, bounded replies, one parser in C; made for little CPU per request."""

from __future__ import annotations

import asyncio
import ssl
from typing import TypeVar
from urllib.parse import urlsplit

import httptools
import msgspec

from hansa.chain.wire import Reply, request_body
from hansa.core.errors import ConfigError, LedgerUnreachable

T = TypeVar("T")

_MAX_CONNECTIONS = 32
_MAX_HEADERS = 64


class EndpointDown(LedgerUnreachable):
    """This endpoint did not answer, or not with JSON-RPC."""


class _Connection(asyncio.Protocol):
    """One socket with at most one request under way."""

    def __init__(self, max_reply: int) -> None:
        self._max_reply = max_reply
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._body: list[bytes] = []
        self.closed = False

    async def exchange(self, request: bytes) -> bytes:
        """Send one request, return the body of the answer."""
        if self._transport is None or self.closed:
            raise ConnectionResetError("closed before the request")
        self._parser, self._body, self._size, self._fields = httptools.HttpResponseParser(self), [], 0, 0
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():  # nobody asked: an endpoint that talks on is not trusted with the next request
            return self.close()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"its answer is not HTTP ({error})"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        if self._fields > _MAX_HEADERS or len(value) > 8192:
            self._fail(ConnectionError("its answer has too many headers"))
        elif name.lower() == b"content-length" and value.isdigit() and int(value) > self._max_reply:
            self._fail(ConnectionError(f"its answer of {int(value)} bytes exceeds the limit of {self._max_reply}"))

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._max_reply:
            self._fail(ConnectionError(f"its answer exceeds the limit of {self._max_reply} bytes"))
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and not self._answer.done():
            if self._parser.get_status_code() == 429 or self._parser.get_status_code() >= 500:
                self._answer.set_exception(ConnectionError(f"it answered HTTP {self._parser.get_status_code()}"))
            else:
                self._answer.set_result(b"".join(self._body))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionResetError("it closed the connection"))

    def _fail(self, error: Exception) -> None:
        self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.close()


class Endpoint:
    """A JSON-RPC server by its http(s) URL. `name` leaves out path and query, where keys of access may stand."""

    def __init__(self, url: str, *, timeout: float = 30.0, max_reply: int = 64 << 20) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ConfigError("an endpoint is written http://host:port or https://host/path, with no user name; correct the list")
        self._host, self._tls = parts.hostname, ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self.name = f"{parts.scheme}://{parts.hostname}:{self._port}"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._head = (
            f"POST {target} HTTP/1.1\r\nHost: {parts.hostname}:{self._port}\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()
        self._timeout, self._max_reply = timeout, max_reply
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._places = asyncio.Semaphore(_MAX_CONNECTIONS)

    async def request(self, method: str, params: object, shape: type[T], *, timeout: float | None = None) -> T:
        """The result in the given shape; RpcError when the endpoint refuses, EndpointDown when it does not answer."""
        body = request_body(1, method, params)
        request = b"%s%d\r\n\r\n%s" % (self._head, len(body), body)
        try:
            async with self._places, asyncio.timeout(timeout or self._timeout):
                answer = await self._exchange(request)
        except TimeoutError as error:
            raise EndpointDown(f"{self.name} did not answer {method} in {timeout or self._timeout:g} s") from error
        except (OSError, ssl.SSLError) as error:
            raise EndpointDown(f"{self.name} is unreachable: {error}") from error
        try:
            reply = msgspec.json.decode(answer, type=Reply)
        except (msgspec.DecodeError, RecursionError) as error:
            raise EndpointDown(f"{self.name} does not speak JSON-RPC ({error}); check its address") from error
        return reply.result_as(shape)

    async def _exchange(self, request: bytes) -> bytes:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                # The server may close an idle connection just as we write; every request of ours is idempotent, so it is sent again.
                try:
                    return await self._use(connection, request)
                except (BrokenPipeError, ConnectionAbortedError, ConnectionResetError):
                    break
        loop = asyncio.get_running_loop()
        _, fresh = await loop.create_connection(lambda: _Connection(self._max_reply), self._host, self._port, ssl=self._tls)
        return await self._use(fresh, request)

    async def _use(self, connection: _Connection, request: bytes) -> bytes:
        self._open.add(connection)
        try:
            answer = await connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        finally:
            if connection.closed:
                self._open.discard(connection)
        if not connection.closed:
            self._idle.append(connection)
        return answer

    async def close(self) -> None:
        """Close every connection; requests still under way fail."""
        self._idle.clear()
        while self._open:
            self._open.pop().close()
        await asyncio.sleep(0)  # lets the transports finish closing
