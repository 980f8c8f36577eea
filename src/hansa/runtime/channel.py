"""Frames between a node and its workers: a bounded msgpack head, then raw buffers; no pickle, so a frame can only ever be data.

u32 length of the head | msgpack Head | buffer 0 | buffer 1 | ...          (little-endian; the head names the buffers' lengths)
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence

import msgspec

from hansa.core.errors import FormatError

MAX_HEAD = 16 << 20
MAX_BUFFERS = 64
MAX_TOTAL = 32 << 30
"""Bytes of all buffers of one frame; checked before anything is allocated."""

_SMALL = 64 << 10
_LENGTH = struct.Struct("<I")

Buffer = bytes | bytearray | memoryview


class Head(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a frame is: a call's or an answer's kind, its header bytes, the buffers' lengths; `error` names an exception class."""

    kind: str
    header: bytes
    lengths: tuple[int, ...] = ()
    error: str = ""


class Frame(msgspec.Struct, frozen=True):
    head: Head
    buffers: list[memoryview]


def pack(kind: str, header: bytes, buffers: Sequence[Buffer] = (), error: str = "") -> list[memoryview]:
    """The pieces to send one after another; buffers must be contiguous and are not copied unless the whole frame is small."""
    views = [memoryview(buffer).cast("B") for buffer in buffers]
    head = Head(kind, header, tuple(len(view) for view in views), error)
    encoded = msgspec.msgpack.encode(head)
    _check(len(encoded), head.lengths)
    pieces = [memoryview(_LENGTH.pack(len(encoded)) + encoded), *views]
    return pieces if sum(map(len, pieces)) > _SMALL else [memoryview(b"".join(pieces))]


def _check(encoded: int, lengths: Sequence[int]) -> None:
    if encoded > MAX_HEAD:
        raise FormatError(f"a frame's head of {encoded} bytes exceeds {MAX_HEAD}; send large values as buffers")
    if len(lengths) > MAX_BUFFERS or any(length < 0 for length in lengths) or sum(lengths) > MAX_TOTAL:
        raise FormatError(f"a frame of {len(lengths)} buffers with {sum(lengths)} bytes is over the limits ({MAX_BUFFERS}, {MAX_TOTAL})")


def head_length(prefix: bytes | bytearray) -> int:
    """The announced length of the head, refused when it is over the limit."""
    (length,) = _LENGTH.unpack(prefix)
    _check(length, ())
    return int(length)


def parse_head(encoded: bytes | bytearray) -> Head:
    """The head with its buffer lengths checked; FormatError otherwise."""
    try:
        head = msgspec.msgpack.decode(encoded, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"a frame's head is not valid: {error}") from error
    _check(len(encoded), head.lengths)
    return head


def send(connection: socket.socket, pieces: Sequence[memoryview]) -> None:
    """Send one frame, blocking."""
    for piece in pieces:
        connection.sendall(piece)


def receive(connection: socket.socket) -> Frame:
    """Take one frame, blocking; EOFError when the other side is gone."""
    head = parse_head(_exactly(connection, head_length(_exactly(connection, _LENGTH.size))))
    return Frame(head, [memoryview(_exactly(connection, length)) for length in head.lengths])


def _exactly(connection: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view, done = memoryview(data), 0
    while done < length:
        count = connection.recv_into(view[done:])
        if count == 0:
            raise EOFError("the other side closed the channel")
        done += count
    return data


async def send_async(connection: socket.socket, pieces: Sequence[memoryview]) -> None:
    """Send one frame on a non-blocking socket of the running loop."""
    loop = asyncio.get_running_loop()
    for piece in pieces:
        await loop.sock_sendall(connection, piece)


async def receive_async(connection: socket.socket) -> Frame:
    """Take one frame from a non-blocking socket; EOFError when the other side is gone."""
    head = parse_head(await _exactly_async(connection, head_length(await _exactly_async(connection, _LENGTH.size))))
    return Frame(head, [memoryview(await _exactly_async(connection, length)) for length in head.lengths])


async def _exactly_async(connection: socket.socket, length: int) -> bytearray:
    loop = asyncio.get_running_loop()
    data = bytearray(length)
    view, done = memoryview(data), 0
    while done < length:
        count = await loop.sock_recv_into(connection, view[done:])
        if count == 0:
            raise EOFError("the other side closed the channel")
        done += count
    return data
