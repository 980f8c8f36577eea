"""Frames: what goes in comes out, and nothing that is announced is believed."""

from __future__ import annotations

import socket
import struct
import threading

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.core.errors import FormatError
from hansa.runtime import channel


def carry(pieces: list[memoryview]) -> channel.Frame:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=channel.send, args=(ours, pieces))
        sender.start()
        frame = channel.receive(theirs)
        sender.join()
        return frame


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=20), st.binary(max_size=200), st.lists(st.binary(max_size=100_000), max_size=6), st.text(max_size=20))
def test_a_frame_arrives_as_it_was_sent(kind: str, header: bytes, buffers: list[bytes], error: str) -> None:
    frame = carry(channel.pack(kind, header, buffers, error))
    assert (frame.head.kind, frame.head.header, frame.head.error) == (kind, header, error)
    assert [bytes(buffer) for buffer in frame.buffers] == buffers


def test_buffers_of_other_item_sizes_travel_as_bytes() -> None:
    frame = carry(channel.pack("k", b"", [memoryview(struct.pack("<3f", 1, 2, 3)).cast("f")]))
    assert struct.unpack("<3f", frame.buffers[0]) == (1, 2, 3)


@pytest.mark.parametrize(
    "lengths",
    [(-1,), (channel.MAX_TOTAL + 1,), (channel.MAX_TOTAL, 1), (0,) * (channel.MAX_BUFFERS + 1), (2**63,)],
)
def test_announced_lengths_over_the_limits_are_refused_before_allocation(lengths: tuple[int, ...]) -> None:
    with pytest.raises(FormatError):
        channel.parse_head(msgspec.msgpack.encode(channel.Head("k", b"", lengths)))


def test_an_announced_head_over_the_limit_is_refused() -> None:
    with pytest.raises(FormatError, match="exceeds"):
        channel.head_length(struct.pack("<I", channel.MAX_HEAD + 1))


def test_an_oversized_header_is_refused_when_packing() -> None:
    with pytest.raises(FormatError, match="send large values as buffers"):
        channel.pack("k", bytes(channel.MAX_HEAD + 1))


@given(st.binary(max_size=200))
def test_any_other_bytes_are_a_format_error(data: bytes) -> None:
    try:
        head = channel.parse_head(data)
    except FormatError:
        return
    assert isinstance(head, channel.Head) and all(length >= 0 for length in head.lengths)


def test_a_side_that_leaves_in_the_middle_is_an_end_of_file() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        channel.send(ours, [channel.pack("k", b"header", [b"buffer"])[0][:-3]])
        ours.close()
        with pytest.raises(EOFError):
            channel.receive(theirs)
