"""The node's HTTP surface, an ASGI application: POST /v1/{kind}, GET /ipfs/{name}?size=, GET /healthz, GET /metrics, and no other."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hansa.core.encoding import encode
from hansa.core.errors import FormatError
from hansa.core.types import BlobRef, Envelope
from hansa.transport import header
from hansa.transport.limits import CHUNK
from hansa.transport.reception import BLOB, Reception, Refusal, range_digest

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

WINDOW = 1 << 20
"""Bytes of a blob read from the store at once: what one download can make this node hold."""

_STALL = 30.0
_SLOWEST = 64 << 10
"""A body, or a part of an answer, may take _STALL seconds and one more for every _SLOWEST bytes."""
_DRAIN, _DRAIN_SECONDS = 64 << 10, 5.0
"""A refused body up to this size is read and dropped, so that the sentence arrives; senders of larger ones ask first."""

_RANGE = re.compile(rb"bytes=(\d{1,15})-(\d{0,15})")
_SIZE = re.compile(rb"size=(\d{1,15})")
_RAW, _DAG_PB = 0x55, 0x70
_LEAF = 1 << 20

_ENVELOPE = header.NAME.encode()
_JSON = (b"content-type", b"application/json")
_BYTES = (b"content-type", b"application/octet-stream")


class _Gone(Exception):
    """The peer closed the connection in the middle of a request."""


class Application:
    """ASGI over a `Reception`; `metrics` returns Prometheus text, None where there is none."""

    def __init__(self, reception: Reception, metrics: Callable[[], bytes] | None = None) -> None:
        self._reception, self._metrics = reception, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError("only HTTP is served")
        exchange = _Exchange(scope, receive, send)
        try:
            await self._route(exchange)
        except Refusal as refusal:
            await exchange.refuse(refusal.status, str(refusal))
        except (_Gone, TimeoutError):
            return  # without a complete answer: the server closes the connection
        except Exception:
            log.exception("a request for %s failed", scope["path"])
            await exchange.refuse(500, "this node failed on the request; its operator finds the reason in its log")

    async def _route(self, exchange: _Exchange) -> None:
        method, path = exchange.method, exchange.path
        if path.startswith("/v1/"):
            expected, serve = "POST", self._post(exchange, path[4:])
        elif path.startswith("/ipfs/"):
            expected, serve = "GET", self._blob(exchange, path[6:])
        elif path == "/healthz":
            expected, serve = "GET", exchange.reply(200, b'{"ok":true}', _JSON)
        elif path == "/metrics" and self._metrics is not None:
            expected, serve = "GET", exchange.reply(200, self._metrics(), (b"content-type", b"text/plain; version=0.0.4; charset=utf-8"))
        else:
            raise Refusal(404, "there is no such page; a node serves /v1/, /ipfs/, /healthz and /metrics")
        try:
            if method != expected:
                raise Refusal(405, f"use {expected} here")
            if method == "GET" and exchange.has_body():
                raise Refusal(400, "a GET request has no body; leave it out")
            await serve
        finally:
            serve.close()

    async def _post(self, exchange: _Exchange, kind: str) -> None:
        length = exchange.length()
        self._reception.expect(kind, length)
        envelope = exchange.envelope()
        with self._reception.enter(envelope, kind, length):
            exchange.known = True
            body, digest = await exchange.body(length)
            self._reception.accept(envelope, digest)
            answer = await self._reception.handle(envelope, body)
            await exchange.reply(200, answer, _BYTES)

    async def _blob(self, exchange: _Exchange, name: str) -> None:
        ref = _blob_ref(name, exchange.query)
        first, length, partial = _range(exchange.headers.get(b"range"), ref.size)
        envelope = exchange.envelope()
        with self._reception.enter(envelope, BLOB, 0) as sender:
            exchange.known = True
            self._reception.accept(envelope, range_digest(ref, first, length))
            window = await self._reception.read(sender, ref, first, min(WINDOW, length))
            headers = [_BYTES, (b"accept-ranges", b"bytes")]
            if partial:
                headers.append((b"content-range", b"bytes %d-%d/%d" % (first, first + length - 1, ref.size)))
            await exchange.start(206 if partial else 200, length, *headers)
            sent = 0
            while sent < length:
                if sent:
                    window = await self._reception.read(sender, ref, first + sent, min(WINDOW, length - sent))
                sent += len(window)
                await exchange.write(window, more=sent < length)
            if not length:
                await exchange.write(b"", more=False)


class _Exchange:
    """One request and its answer, with bounds on how long the peer may take."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.known = False
        """Whether the sender is proven and admitted; the connections of others are closed, so that strangers cannot occupy them."""
        self.headers: dict[bytes, bytes] = {}
        self._repeated: set[bytes] = set()
        for name, value in scope["headers"]:
            if name in self.headers:
                self._repeated.add(name)
            self.headers[name] = value
        self._started = self._read = False

    def has_body(self) -> bool:
        return b"transfer-encoding" in self.headers or self.headers.get(b"content-length", b"0") != b"0"

    def length(self) -> int:
        """The declared body length; a Refusal when there is none, since a body is bounded before it is read."""
        value = self.headers.get(b"content-length", b"")
        if b"transfer-encoding" in self.headers or b"content-length" in self._repeated or not re.fullmatch(rb"\d{1,15}", value):
            raise Refusal(411, "declare the body's length in one content-length header; chunked bodies are not accepted")
        return int(value)

    def envelope(self) -> Envelope:
        value = self.headers.get(_ENVELOPE)
        if value is None or _ENVELOPE in self._repeated:
            raise Refusal(401, f"sign the request: one {header.NAME} header is needed")
        try:
            return header.from_header(value)
        except FormatError as error:
            raise Refusal(401, str(error)) from error

    async def body(self, length: int) -> tuple[bytes, bytes]:
        """The body and its sha256, hashed as it arrives; TimeoutError when it trickles."""
        parts, digest, received = [], hashlib.sha256(), 0
        self._read = True
        async with asyncio.timeout(_STALL + length / _SLOWEST):
            while True:
                message = await self._receive()
                part = message.get("body", b"")
                received += len(part)
                if message["type"] != "http.request" or received > length:
                    raise _Gone
                digest.update(part)
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts), digest.digest()

    async def start(self, status: int, length: int, *headers: tuple[bytes, bytes]) -> None:
        self._started = True
        every = [(b"content-length", b"%d" % length), *headers]
        if not self.known:
            every.append((b"connection", b"close"))
        async with asyncio.timeout(_STALL):
            await self._send({"type": "http.response.start", "status": status, "headers": every})

    async def write(self, data: bytes, *, more: bool) -> None:
        """A part of the answer, given to the transport in chunks; TimeoutError when the peer does not take it."""
        view = memoryview(data)
        async with asyncio.timeout(_STALL + len(view) / _SLOWEST):
            for offset in range(0, max(1, len(view)), CHUNK):
                chunk = view[offset : offset + CHUNK]
                await self._send({"type": "http.response.body", "body": chunk, "more_body": more or offset + CHUNK < len(view)})

    async def reply(self, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
        """A whole answer."""
        await self.start(status, len(body), *headers)
        await self.write(body, more=False)

    async def refuse(self, status: int, sentence: str) -> None:
        """Status and sentence as JSON; once an answer has begun, only closing the connection tells the peer that it is incomplete."""
        if self._started:
            return
        try:
            with contextlib.suppress(Refusal):
                if not self._read and self.has_body() and self.length() <= _DRAIN:
                    async with asyncio.timeout(_DRAIN_SECONDS):
                        await self.body(self.length())
            await self.reply(status, encode({"error": sentence}), _JSON)
        except (_Gone, TimeoutError):
            return


def _blob_ref(name: str, query: bytes) -> BlobRef:
    """A blob named by the hexadecimal digest or the CIDv1 (base32, sha2-256, raw or dag-pb) of its root, and its size."""
    size = _SIZE.fullmatch(query)
    if size is None:
        raise Refusal(400, "name the blob's size, as in ?size=1048576")
    if re.fullmatch(r"[0-9a-f]{64}", name):
        return BlobRef(bytes.fromhex(name), int(size[1]))
    codec = _RAW if int(size[1]) <= _LEAF else _DAG_PB
    try:
        cid = base64.b32decode(name[1:].upper() + "=" * (-len(name[1:]) % 8)) if re.fullmatch(r"b[a-z2-7]{58}", name) else b""
    except binascii.Error:
        cid = b""
    if len(cid) != 36 or cid[:4] != bytes((1, codec, 0x12, 0x20)):
        raise Refusal(400, "name the blob by its 64 hexadecimal digits or by the CIDv1 that belongs to its size")
    return BlobRef(cid[4:], int(size[1]))


def _range(value: bytes | None, size: int) -> tuple[int, int, bool]:
    """(first byte, length, whether it is a part); one range only, clipped to the size."""
    if value is None:
        return 0, size, False
    match = _RANGE.fullmatch(value)
    if match is None:
        raise Refusal(416, "ask for one range, as in bytes=0-1048575")
    first = int(match[1])
    last = min(int(match[2]) if match[2] else size - 1, size - 1)
    if first > last:
        raise Refusal(416, f"the range lies outside the blob's {size} bytes")
    return first, last - first + 1, True
