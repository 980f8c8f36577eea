"""Refusals in words: custom errors of our contracts, messages, panics, and bytes that mean nothing."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from hansa.chain.refusals import reverted
from hansa.core.encoding import keccak
from hansa.core.errors import Reverted

WHO = "0x" + "a1" * 20


def test_a_custom_error_comes_with_its_arguments() -> None:
    data = keccak(b"ERC20InsufficientBalance(address,uint256,uint256)")[:4] + encode(["address", "uint256", "uint256"], [WHO, 1, 2])
    error = reverted(data, "transfer")
    assert str(error) == f"the contract refused transfer: ERC20InsufficientBalance(sender = {WHO}, balance = 1, needed = 2)"
    assert (error.error, error.arguments) == ("ERC20InsufficientBalance", (WHO, 1, 2))


@pytest.mark.parametrize(
    ("data", "text", "name"),
    [
        (keccak(b"Error(string)")[:4] + encode(["string"], ["closed"]), "the contract refused the call: closed", "Error"),
        (keccak(b"Panic(uint256)")[:4] + encode(["uint256"], [0x11]), "the contract refused the call: an amount overflowed", "Panic"),
        (keccak(b"Panic(uint256)")[:4] + encode(["uint256"], [0x99]), "the contract refused the call: panic 153", "Panic"),
        (b"", "the contract refused the call without a reason that can be read", ""),
    ],
)
def test_what_the_language_itself_says(data: bytes, text: str, name: str) -> None:
    assert (str(reverted(data)), reverted(data).error) == (text, name)


@given(st.binary(max_size=80), st.booleans())
def test_no_bytes_break_it(data: bytes, known: bool) -> None:
    selector = keccak(b"ERC20InsufficientBalance(address,uint256,uint256)")[:4] if known else b""
    assert isinstance(reverted(selector + data), Reverted)
