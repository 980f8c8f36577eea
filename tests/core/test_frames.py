"""Several parts in one body: round trips and bodies made to deceive."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import FormatError
from hansa.core.frames import pack, unpack


@given(st.lists(st.binary(max_size=100), max_size=64))
def test_parts_come_back(parts: list[bytes]) -> None:
    assert [bytes(part) for part in unpack(pack(parts), len(parts))] == parts


def test_parts_are_not_copied() -> None:
    body = pack([b"abc", b"defg"])
    assert all(part.obj is body for part in unpack(body, 2))


@given(st.binary(max_size=200), st.integers(0, 70))
def test_any_bytes_are_parts_or_a_format_error(body: bytes, count: int) -> None:
    try:
        parts = unpack(body, count)
    except FormatError:
        return
    assert pack(parts) == body


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5), st.data())
def test_a_body_cut_or_lengthened_is_refused(parts: list[bytes], data: st.DataObject) -> None:
    body = pack(parts)
    with pytest.raises(FormatError):
        unpack(body[: data.draw(st.integers(0, len(body) - 1))], len(parts))
    with pytest.raises(FormatError):
        unpack(body + b"\0", len(parts))


@pytest.mark.parametrize("count", [0, 1, 3, 64, 65, 1 << 31])
def test_another_number_of_parts_is_refused(count: int) -> None:
    with pytest.raises(FormatError):
        unpack(pack([b"a", b"b"]), count)


def test_lengths_that_wrap_around_are_refused() -> None:
    body = struct.pack("<I2Q", 2, 2**64 - 1, 1 + 4) + b"abcd"
    with pytest.raises(FormatError, match="declares"):
        unpack(body, 2)


def test_too_many_parts_are_refused() -> None:
    with pytest.raises(FormatError, match="at most 64"):
        pack([b""] * 65)
