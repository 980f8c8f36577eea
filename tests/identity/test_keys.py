from __future__ import annotations

import pickle

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.encoding import keccak
from hansa.core.errors import IdentityError
from hansa.identity.keys import AccountKey, is_address, recover

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = AccountKey(bytes(31) + b"\x01")
DIGEST = keccak(b"digest")


def test_the_address_of_secret_one_is_the_known_one() -> None:
    assert KEY.address == "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"


@given(st.integers(min_value=1, max_value=ORDER - 1), st.binary(min_size=32, max_size=32))
def test_signatures_and_addresses_are_those_of_eth_account(secret: int, digest: bytes) -> None:
    key = AccountKey(secret.to_bytes(32, "big"))
    reference = Account.from_key(secret.to_bytes(32, "big"))
    signature = key.sign(digest)
    assert key.address == reference.address.lower()
    assert signature == bytes(reference.unsafe_sign_hash(digest).signature)
    assert recover(digest, signature) == key.address


@pytest.mark.parametrize("secret", [bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32, b"\x01" * 31, b""])
def test_a_secret_outside_the_curve_is_refused(secret: bytes) -> None:
    with pytest.raises(IdentityError, match="between 1 and the curve's order"):
        AccountKey(secret)


def test_generated_keys_differ_and_sign() -> None:
    first, second = AccountKey.generate(), AccountKey.generate()
    assert first.address != second.address
    assert recover(DIGEST, first.sign(DIGEST)) == first.address


def test_only_digests_are_signed() -> None:
    with pytest.raises(IdentityError, match="32-byte"):
        KEY.sign(b"short")


def test_the_mirrored_signature_with_high_s_is_refused() -> None:
    signature = KEY.sign(DIGEST)
    mirrored = signature[:32] + (ORDER - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big") + bytes((27 + 28 - signature[64],))
    with pytest.raises(IdentityError, match="upper half"):
        recover(DIGEST, mirrored)


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_another_recovery_value_is_refused(v: int) -> None:
    with pytest.raises(IdentityError, match="recovery value"):
        recover(DIGEST, KEY.sign(DIGEST)[:64] + bytes((v,)))


@given(st.binary(max_size=70), st.binary(max_size=40))
def test_any_bytes_recover_an_address_or_are_refused(signature: bytes, digest: bytes) -> None:
    try:
        assert is_address(recover(digest, signature))
    except IdentityError:
        pass


@given(st.binary(min_size=64, max_size=64), st.sampled_from([27, 28]))
def test_any_well_sized_signature_recovers_or_is_refused(body: bytes, v: int) -> None:
    try:
        assert is_address(recover(DIGEST, body + bytes((v,))))
    except IdentityError:
        pass


def test_a_flipped_bit_changes_the_signer_or_is_refused() -> None:
    signature = KEY.sign(DIGEST)
    for position in range(64 * 8):
        flipped = bytearray(signature)
        flipped[position // 8] ^= 1 << position % 8
        try:
            assert recover(DIGEST, bytes(flipped)) != KEY.address
        except IdentityError:
            continue


def test_a_key_does_not_show_or_serialise_its_secret() -> None:
    secret = AccountKey(b"\x5a" * 32)
    assert "5a5a" not in repr(secret) + str(secret) + f"{secret!s}"
    with pytest.raises(IdentityError, match="keystore"):
        pickle.dumps(secret)


@pytest.mark.parametrize("text", ["0x" + "a" * 39, "0x" + "A" * 40, "a" * 40, "0x" + "g" * 40, "0x" + "a" * 40 + "\n", ""])
def test_other_spellings_are_no_address(text: str) -> None:
    assert not is_address(text)
    assert is_address("0x" + "a" * 40)
