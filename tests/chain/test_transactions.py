"""Signed transactions against eth-account."""

from __future__ import annotations

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from hansa.chain.transactions import FREE, Fees, Transaction, created_address, sign
from hansa.core.errors import FormatError
from hansa.core.types import Address
from hansa.identity.keys import AccountKey

SECRET = b"\x07" * 32
KEY = AccountKey(SECRET)
TO = "0x" + "a1" * 20

numbers = st.integers(0, 2**64)


@given(numbers, numbers, st.binary(max_size=200), st.integers(21_000, 2**40), st.booleans(), numbers, st.sampled_from([1, 31337, 2**40]))
def test_the_legacy_form_is_eth_accounts(nonce: int, price: int, data: bytes, gas: int, create: bool, value: int, chain: int) -> None:
    fields = {"nonce": nonce, "gasPrice": price, "gas": gas, "value": value, "data": data, "chainId": chain}
    expected = Account.sign_transaction(fields if create else {**fields, "to": bytes.fromhex(TO[2:])}, SECRET)
    signed = sign(Transaction(chain, nonce, "" if create else TO, data, gas, Fees(price), value), KEY)
    assert signed.raw == expected.raw_transaction and signed.hash == expected.hash


@given(numbers, numbers, numbers, st.binary(max_size=200), st.booleans())
def test_the_fee_market_form_is_eth_accounts(nonce: int, price: int, tip: int, data: bytes, create: bool) -> None:
    tip = min(tip, price)
    fields: dict[str, object] = {"type": 2, "nonce": nonce, "maxFeePerGas": price, "maxPriorityFeePerGas": tip, "chainId": 5}
    fields.update(gas=90_000, value=0, data=data)
    expected = Account.sign_transaction(fields if create else {**fields, "to": bytes.fromhex(TO[2:])}, SECRET)
    signed = sign(Transaction(5, nonce, "" if create else TO, data, 90_000, Fees(price, tip)), KEY)
    assert signed.raw == expected.raw_transaction and signed.hash == expected.hash
    assert Account.recover_transaction(signed.raw).lower() == KEY.address


@pytest.mark.parametrize("to", ["0x12", "0x" + "a1" * 21])
def test_a_target_that_is_no_address_is_refused(to: str) -> None:
    with pytest.raises(FormatError, match="is not an address"):
        sign(Transaction(1, 0, to, b"", 21_000, FREE), KEY)


def test_created_addresses_are_the_well_known_ones() -> None:
    # The two published examples of the rule: nonces 0 and 1 of one account.
    sender = Address("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")
    assert created_address(sender, 0) == "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"
    assert created_address(sender, 1) == "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"
