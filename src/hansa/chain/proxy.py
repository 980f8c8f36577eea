"""What clients see of the embedded chain: JSON-RPC over HTTP on loopback, restricted to an allow-list, every body bounded.

`hansa_sendRawTransaction` is `eth_sendRawTransaction` that answers with the mined receipt: one request for a whole transaction.
`hansa_waitForBlock(number, milliseconds)` answers with the head's number once it is above `number`, or when the time is over.
"""

from __future__ import annotations

import asyncio
import logging

import httptools
import msgspec

from hansa.chain.ipc import NodeGone
from hansa.chain.miner import Miner
from hansa.chain.wire import DISK_FULL, METHOD_MISSING, UNAVAILABLE, RpcError, hexadecimal
from hansa.core.errors import HansaError, LedgerUnreachable, StorageError

_log = logging.getLogger(__name__)

MAX_BODY = 2 << 20
_MAX_BATCH = 100
_MAX_TRANSACTION = 128 << 10
MAX_HEAD = 16 << 10
_MAX_CONNECTIONS = 256
_RECEIPT_SECONDS = 0.25
_NODE_SECONDS = 60.0
_WAIT_SECONDS = 30.0

READS = frozenset(
    """eth_accounts eth_blockNumber eth_call eth_chainId eth_createAccessList eth_estimateGas eth_feeHistory eth_gasPrice eth_getBalance
    eth_getBlockByHash eth_getBlockByNumber eth_getBlockReceipts eth_getBlockTransactionCountByHash eth_getBlockTransactionCountByNumber
    eth_getCode eth_getLogs eth_getProof eth_getStorageAt eth_getTransactionByHash eth_getTransactionCount eth_getTransactionReceipt
    eth_maxPriorityFeePerGas eth_syncing net_version web3_clientVersion""".split()
)
"""Methods passed on to the node; everything else, its test and administration methods above all, is refused."""

_PARSE, _INVALID, _REFUSED = -32700, -32600, -32000


class _Request(msgspec.Struct):
    method: str
    id: int | str | None = None
    params: msgspec.Raw = msgspec.Raw(b"[]")


class Dispatcher:
    """Answers JSON-RPC bodies."""

    def __init__(self, miner: Miner, *, free: bool) -> None:
        self._miner, self._free = miner, free

    async def answer(self, body: bytes) -> bytes:
        """The reply to one request or to a batch of at most a hundred; transactions of a batch are accepted in its order."""
        try:
            if not body.lstrip()[:1] == b"[":
                return await self._one(msgspec.json.decode(body, type=_Request))
            requests = msgspec.json.decode(body, type=list[_Request])
        except (msgspec.DecodeError, RecursionError) as error:
            return _error(None, _PARSE, f"not a JSON-RPC request: {error}")
        if not 0 < len(requests) <= _MAX_BATCH:
            return _error(None, _INVALID, f"a batch has 1 to {_MAX_BATCH} requests")
        return b"[" + b",".join(await asyncio.gather(*map(self._one, requests))) + b"]"

    async def _one(self, request: _Request) -> bytes:
        try:
            async with asyncio.timeout(_NODE_SECONDS):
                return await self._dispatch(request)
        except RpcError as error:
            return _error(request.id, error.code, str(error), error.data)
        except TimeoutError:
            return _error(request.id, UNAVAILABLE, "the embedded chain is being rebuilt; send again in a moment")
        except LedgerUnreachable as error:
            return _error(request.id, UNAVAILABLE, str(error))
        except StorageError as error:
            return _error(request.id, DISK_FULL, str(error))
        except HansaError as error:
            return _error(request.id, _REFUSED, str(error))

    async def _dispatch(self, request: _Request) -> bytes:
        if request.method == "eth_sendRawTransaction":
            return _result(request.id, b'"%s"' % hexadecimal(await self._miner.submit(_transaction(request.params))).encode())
        if request.method == "hansa_sendRawTransaction":
            return _result(request.id, bytes(await self._miner.submit_and_wait(_transaction(request.params), _RECEIPT_SECONDS)))
        if request.method == "hansa_waitForBlock":
            after, seconds = _wait(request.params)
            return _result(request.id, b'"%s"' % hex(await self._miner.wait_block(after, seconds)).encode())
        if request.method not in READS:
            raise RpcError(METHOD_MISSING, f"the method {request.method[:60]} is not offered here")
        if self._free and request.method == "eth_maxPriorityFeePerGas":
            return _result(request.id, b'"0x0"')  # the node would say one gwei, and clients would then pay it
        for _ in range(3):
            node = await self._miner.node()
            try:
                if b'"pending"' in bytes(request.params):
                    await self._miner.set_time(node)
                reply = await node.ipc.raw(request.method, request.params)
            except NodeGone:
                await asyncio.sleep(0)
                continue
            if reply.error is not None:
                return msgspec.json.encode({"jsonrpc": "2.0", "id": request.id, "error": reply.error})
            return _result(request.id, bytes(reply.result))
        raise NodeGone("the embedded chain's node ended while it was answering; send again")


def _transaction(params: msgspec.Raw) -> bytes:
    try:
        (text,) = msgspec.json.decode(params, type=tuple[str])
        raw = bytes.fromhex(text.removeprefix("0x"))
    except (msgspec.DecodeError, ValueError) as error:
        raise RpcError(_INVALID, "give one signed transaction in hexadecimal") from error
    if not 0 < len(raw) <= _MAX_TRANSACTION:
        raise RpcError(_INVALID, f"a transaction has 1 to {_MAX_TRANSACTION} bytes, this one has {len(raw)}")
    return raw


def _wait(params: msgspec.Raw) -> tuple[int, float]:
    """(block number, seconds), the seconds bounded."""
    try:
        number, milliseconds = msgspec.json.decode(params, type=tuple[str, int])
        return int(number, 16), min(max(milliseconds, 0) / 1000, _WAIT_SECONDS)
    except (msgspec.DecodeError, ValueError) as error:
        raise RpcError(_INVALID, "give a block number in hexadecimal and how many milliseconds to wait") from error


def _result(number: object, result: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (msgspec.json.encode(number), result)


def _error(number: object, code: int, message: str, data: bytes | None = None) -> bytes:
    body: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        body["data"] = hexadecimal(data)
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "error": body})


class Door(asyncio.Protocol):
    """One client's connection: HTTP/1.1, POST with a length and a JSON content type, answered in order."""

    def __init__(self, dispatcher: Dispatcher, doors: set[Door]) -> None:
        self._dispatcher, self._doors = dispatcher, doors
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._bodies: list[tuple[bytes, bool]] = []
        self._task: asyncio.Task[None] | None = None
        self._messages = 0
        self._start()

    def _start(self) -> None:
        self._in_head, self._head, self._body, self._json, self._length = True, 0, bytearray(), False, -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._doors.add(self)
        if len(self._doors) > _MAX_CONNECTIONS:
            self._refuse("503 Service Unavailable", "too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._doors.discard(self)

    def data_received(self, data: bytes) -> None:
        answered = self._messages
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return self._refuse("400 Bad Request", "this is not an HTTP request")
        # Data that ended a request was mostly its body; only what is all head counts against the head's limit.
        if self._in_head and self._messages == answered:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._refuse("431 Request Header Fields Too Large", f"a request's head has at most {MAX_HEAD} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-length" and value.isdigit():
            self._length = int(value[:12])
        elif name == b"content-type":
            # A page in a browser cannot send this type to us without asking first, and we answer no such question.
            self._json = value.lower().startswith(b"application/json")
        elif name == b"expect" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._parser.get_method() != b"POST":
            self._refuse("405 Method Not Allowed", "send JSON-RPC requests with POST")
        elif not self._json:
            self._refuse("415 Unsupported Media Type", "send JSON-RPC requests as application/json")
        elif self._length < 0:
            self._refuse("411 Length Required", "send the body's length")
        elif self._length > MAX_BODY:
            self._refuse("413 Content Too Large", f"a request has at most {MAX_BODY} bytes")

    def on_body(self, body: bytes) -> None:
        if self._transport is not None:
            self._body += body

    def on_message_complete(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._messages += 1
        self._bodies.append((bytes(self._body), self._parser.should_keep_alive()))
        self._start()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._serve())
        else:
            self._transport.pause_reading()

    async def _serve(self) -> None:
        try:
            while self._bodies:
                body, keep = self._bodies.pop(0)
                answer = await self._dispatcher.answer(body)
                if self._transport is None:
                    return
                self._send("200 OK", answer, keep)
                self._transport.resume_reading()
        except Exception:
            _log.exception("a request could not be answered")
            self.close()
        finally:
            self._task = None

    def _send(self, status: str, body: bytes, keep: bool) -> None:
        if self._transport is not None:
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            self._transport.write((head + ("\r\n" if keep else "Connection: close\r\n\r\n")).encode() + body)
            if not keep:
                self._transport.close()

    def _refuse(self, status: str, message: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._send(status, _error(None, _INVALID, message), False)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
