"""Canonical bytes: the standard's own examples, known digests, and messages made to deceive."""

from __future__ import annotations

import json
import math
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core import encoding
from hansa.core.errors import FormatError
from hansa.core.types import BlobRef


class Small(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    count: int


class Spec(msgspec.Struct, frozen=True):
    zebra: int
    apple: str
    data: bytes = b""


def test_keccak_is_the_evms_and_not_sha3() -> None:
    assert encoding.keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert encoding.keccak(b"transfer(address,uint256)")[:4].hex() == "a9059cbb"


def test_sha256_of_the_standards_example() -> None:
    assert encoding.sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert encoding.sha256(memoryview(b"abc")) == encoding.sha256(b"abc")


def test_rfc_8785_section_3_2_2() -> None:
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '\u20ac$\u000f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    assert (
        encoding.canonical(value)
        == (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )


def test_rfc_8785_section_3_2_3_sorts_by_utf16_units() -> None:
    value = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    order = ["Carriage Return", "One", "Control", "Latin Small", "Euro", "Emoji", "Hebrew"]
    text = encoding.canonical(value).decode()
    assert sorted(order, key=text.index) == order


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555555", "333333333.3333333"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
    ],
)
def test_rfc_8785_appendix_b_numbers(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert encoding.canonical(value) == text.encode()


def test_the_order_of_a_structs_fields_does_not_matter() -> None:
    assert encoding.canonical(Spec(1, "a")) == b'{"apple":"a","data":"","zebra":1}'
    assert encoding.spec_digest(Spec(1, "a")) == encoding.spec_digest({"data": "", "zebra": 1, "apple": "a"})
    assert encoding.spec_digest(Spec(1, "a")) != encoding.spec_digest(Spec(2, "a"))


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53, -(2**53) - 1, {1: object()}, object(), {"a": {"b": [math.nan]}}, "\ud800"])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(FormatError, match="no canonical JSON form"):
        encoding.canonical(value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_the_canonical_form_is_a_fixed_point(value: object) -> None:
    """Read back as the standard reads it: every number is a double, so 2^53 and beyond are no integers of ours."""
    once = encoding.canonical(value)
    again = json.loads(once, parse_int=lambda text: int(text) if abs(int(text)) < 2**53 else float(text))
    assert encoding.canonical(again) == once


@given(st.dictionaries(st.text(max_size=5), st.integers(0, 9), max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_insertion_does_not_matter(value: dict[str, int], chance: object) -> None:
    pairs = list(value.items())
    chance.shuffle(pairs)  # type: ignore[attr-defined]
    assert encoding.canonical(dict(pairs)) == encoding.canonical(value)


def test_a_message_comes_back() -> None:
    ref = BlobRef(b"\x01" * 32, 5)
    assert encoding.decode(encoding.encode(ref), BlobRef) == ref


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b'{"name":"a"}',
        b'{"name":"a","count":"1"}',
        b'{"name":"a","count":1,"more":2}',
        b"\xff",
        b"[" * 100_000,
        b'{"name":"\xff","count":1}',
    ],
)
def test_messages_that_do_not_fit_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="not a valid Small"):
        encoding.decode(data, Small)


def test_a_message_over_the_limit_is_refused_before_it_is_parsed() -> None:
    data = encoding.encode(Small("a" * 50, 1))
    with pytest.raises(FormatError, match="exceeds the limit of 40"):
        encoding.decode(data, Small, limit=40)
    assert encoding.decode(data, Small, limit=len(data)).count == 1


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_a_format_error(data: bytes) -> None:
    try:
        assert isinstance(encoding.decode(data, Small), Small)
    except FormatError:
        pass
