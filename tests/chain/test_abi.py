"""Encoding by signature, structs included; what does not fit is refused."""

from __future__ import annotations

import msgspec
import pytest
from eth_abi.abi import encode as reference
from hypothesis import given
from hypothesis import strategies as st

from hansa.chain import abi
from hansa.core.encoding import keccak
from hansa.core.errors import FormatError

TO = "0x" + "a1" * 20
words = st.binary(min_size=32, max_size=32)


class Inner(msgspec.Struct, frozen=True, array_like=True):
    digest: bytes
    amounts: tuple[int, ...]


class Outer(msgspec.Struct, frozen=True, array_like=True):
    number: int
    inners: tuple[Inner, ...]


SIGNATURE = "put(uint256,(uint64,(bytes32,uint256[])[]),string)"
FUNCTION = abi.Function(SIGNATURE, "((uint64,(bytes32,uint256[])[]))")
inners = st.lists(st.builds(Inner, words, st.lists(st.integers(0, 2**256 - 1), max_size=3).map(tuple)), max_size=3).map(tuple)


@given(st.integers(0, 2**256 - 1), st.builds(Outer, st.integers(0, 2**64 - 1), inners), st.text(max_size=20))
def test_structs_encode_as_tuples_and_come_back_as_structs(number: int, outer: Outer, text: str) -> None:
    call = FUNCTION.call(TO, number, outer, text)
    plain = (outer.number, [(inner.digest, list(inner.amounts)) for inner in outer.inners])
    types = ["uint256", "(uint64,(bytes32,uint256[])[])", "string"]
    assert call.data == keccak(SIGNATURE.encode())[:4] + reference(types, [number, plain, text])
    assert (call.to, call.label) == (TO, "put")
    view = FUNCTION.view(abi.one(Outer), TO, number, outer, text)
    assert view.decode(reference(types[1:2], [plain])) == outer


@pytest.mark.parametrize("value", [2**64, -1, "one", None])
def test_a_value_that_does_not_fit_is_refused(value: object) -> None:
    with pytest.raises(FormatError, match=r"do not fit \(uint64\)"):
        abi.Function("set(uint64)").call(TO, value)
    with pytest.raises(FormatError):
        abi.Function("set(uint64)").call(TO)


@given(st.binary(max_size=100))
def test_bytes_that_do_not_decode_are_refused_not_crashed_on(data: bytes) -> None:
    try:
        abi.decode(("(uint64,string)", "bool"), data)
    except FormatError as error:
        assert "do not decode" in str(error)


def test_a_huge_length_is_not_allocated() -> None:
    with pytest.raises(FormatError):
        abi.decode(("uint256[]",), (32).to_bytes(32, "big") + (2**62).to_bytes(32, "big"))
