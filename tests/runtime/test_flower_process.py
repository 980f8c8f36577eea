"""The script that runs Flower apps, as far as it goes without flwr: its frames are the channel's, bounded; of hansa it needs nothing."""

from __future__ import annotations

import ast
import socket
import struct
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hansa.core.errors import FormatError
from hansa.runtime import channel, flower_process
from hansa.runtime.flower import SCRIPT

lengths = st.lists(st.integers(0, channel.MAX_TOTAL // channel.MAX_BUFFERS), max_size=channel.MAX_BUFFERS)
heads = st.tuples(st.text(max_size=300), st.binary(max_size=70_000), lengths, st.text(max_size=40))


def encoded(kind: str, header: bytes, lengths: list[int], error: str) -> bytes:
    return channel.msgspec.msgpack.encode(channel.Head(kind, header, tuple(lengths), error))


@given(heads)
def test_both_sides_read_what_the_other_writes(head: tuple[str, bytes, list[int], str]) -> None:
    assert flower_process.read_head(encoded(*head)) == head
    kind, header, lengths, error = head
    assert channel.parse_head(flower_process.write_head(*head)) == channel.Head(kind, header, tuple(lengths), error)


@given(heads, st.data())
def test_a_head_cut_short_or_too_long_is_refused(head: tuple[str, bytes, list[int], str], data: st.DataObject) -> None:
    whole = flower_process.write_head(*head)
    with pytest.raises(ValueError):
        flower_process.read_head(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError, match="goes on after its end"):
        flower_process.read_head(whole + b"\x00")


@given(st.binary(max_size=200))
@example(b"\x94\xa2\x00\x80")
def test_any_other_bytes_are_refused_as_the_channel_refuses_them(data: bytes) -> None:
    try:
        theirs: object = channel.parse_head(data)
    except FormatError:
        theirs = None
    try:
        ours: object = channel.Head(*(tuple(part) if isinstance(part, list) else part for part in flower_process.read_head(data)))
    except ValueError:
        ours = None
    assert ours is None or ours == theirs


@pytest.mark.parametrize(
    ("lengths", "sentence"),
    [([1] * (channel.MAX_BUFFERS + 1), "65 buffers is over the limit"), ([channel.MAX_TOTAL, 1], "bytes is over the limit")],
)
def test_too_much_is_refused_before_it_is_allocated(lengths: list[int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        flower_process.read_head(flower_process.write_head("train", b"", lengths))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(struct.pack("<I", flower_process.MAX_HEAD + 1))
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(ValueError, match="over the limit"):
            flower_process.receive(theirs)


def test_its_limits_are_the_channels() -> None:
    for name in ("MAX_HEAD", "MAX_BUFFERS", "MAX_TOTAL"):
        assert getattr(flower_process, name) == getattr(channel, name)


def test_frames_cross_a_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        flower_process.send(ours, "answer", b"header", [b"", b"12345"], "WorkerError")
        frame = channel.receive(theirs)
        assert (frame.head.kind, frame.head.header, frame.head.error) == ("answer", b"header", "WorkerError")
        assert [bytes(buffer) for buffer in frame.buffers] == [b"", b"12345"]
        channel.send(theirs, channel.pack("train", b"call", [b"", b"678"]))
        assert flower_process.receive(ours) == ("train", b"call", [bytearray(), bytearray(b"678")])
        theirs.close()
        with pytest.raises(EOFError):
            flower_process.receive(ours)


def test_it_imports_the_standard_library_numpy_and_flwr_alone() -> None:
    imported = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or ".").partition(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"numpy", "flwr"}
