from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.clock import ManualClock
from hansa.core.encoding import sha256
from hansa.core.errors import EnvelopeError, FormatError
from hansa.core.types import Address, Envelope
from hansa.identity.envelope import LIFETIME, accept, digest, inspect, is_kind, seal
from hansa.identity.keys import AccountKey
from hansa.identity.replay import MAX_AHEAD, ReplayGuard
from hansa.identity.typed import Domain, StructType

from .test_typed import reference

SENDER, ME = AccountKey(b"\x01" * 32), AccountKey(b"\x02" * 32)
DOMAIN = Domain(31337, Address("0x" + "ab" * 20))
NOW = 1_700_000_000.25
BODY = sha256(b"body")
ENVELOPE = seal(SENDER, DOMAIN, recipient=ME.address, kind="update", body_digest=BODY, now=NOW, job=7, round=3)


def test_what_was_sealed_opens_once() -> None:
    replay = ReplayGuard(ManualClock(NOW))
    assert inspect(ENVELOPE, ME.address, DOMAIN, NOW) == SENDER.address
    accept(ENVELOPE, BODY, replay)
    with pytest.raises(EnvelopeError, match="received before"):
        accept(ENVELOPE, BODY, replay)


def test_the_digest_is_that_of_eth_account() -> None:
    kind = StructType(
        "Envelope(address sender,address recipient,string kind,uint256 job,uint32 round,bytes32 bodyDigest,bytes32 nonce,uint64 deadline)"
    )
    assert digest(ENVELOPE, DOMAIN) == reference(kind, DOMAIN, msgspec.structs.astuple(ENVELOPE)[:-1])


def test_two_envelopes_of_the_same_words_have_different_nonces() -> None:
    again = seal(SENDER, DOMAIN, recipient=ME.address, kind="update", body_digest=BODY, now=NOW, job=7, round=3)
    assert again.nonce != ENVELOPE.nonce


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"signature": b""}, "wrong length"),
        ({"nonce": bytes(31)}, "wrong length"),
        ({"body_digest": bytes(33)}, "wrong length"),
        ({"kind": "Update"}, "malformed"),
        ({"sender": SENDER.address.upper()}, "malformed"),
        ({"recipient": SENDER.address}, "another recipient"),
        ({"recipient": ME.address.upper()}, "another recipient"),
        ({"deadline": int(NOW)}, "expired"),
        ({"deadline": int(NOW) + MAX_AHEAD + 1}, "expires more than 300 seconds"),
        ({"sender": ME.address}, "not signed by its sender"),
        ({"kind": "updates"}, "not signed by its sender"),
        ({"job": 8}, "not signed by its sender"),
        ({"round": 4}, "not signed by its sender"),
        ({"body_digest": bytes(32)}, "not signed by its sender"),
        ({"nonce": bytes(32)}, "not signed by its sender"),
        ({"deadline": ENVELOPE.deadline + 1}, "not signed by its sender"),
        ({"job": -1}, "cannot be checked"),
        ({"job": 1 << 256}, "cannot be checked"),
        ({"round": 1 << 32}, "cannot be checked"),
        ({"signature": bytes(65)}, "cannot be checked"),
    ],
)
def test_an_envelope_changed_anywhere_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(EnvelopeError, match=sentence):
        inspect(msgspec.structs.replace(ENVELOPE, **change), ME.address, DOMAIN, NOW)


@pytest.mark.parametrize("domain", [Domain(1, DOMAIN.contract), Domain(31337, ME.address), Domain(31337, DOMAIN.contract, "RoundLedger")])
def test_an_envelope_for_another_chain_contract_or_protocol_is_refused(domain: Domain) -> None:
    with pytest.raises(EnvelopeError, match="for this chain and contract"):
        inspect(ENVELOPE, ME.address, domain, NOW)


def test_a_deadline_is_accepted_to_its_second_from_both_sides() -> None:
    inspect(ENVELOPE, ME.address, DOMAIN, float(ENVELOPE.deadline))
    inspect(ENVELOPE, ME.address, DOMAIN, float(ENVELOPE.deadline - MAX_AHEAD))
    with pytest.raises(EnvelopeError, match="expired"):
        inspect(ENVELOPE, ME.address, DOMAIN, ENVELOPE.deadline + 0.01)
    with pytest.raises(EnvelopeError, match="expires more than"):
        inspect(ENVELOPE, ME.address, DOMAIN, ENVELOPE.deadline - MAX_AHEAD - 0.01)
    assert ENVELOPE.deadline == int(NOW) + LIFETIME


def test_another_body_is_refused_and_leaves_the_nonce_unused() -> None:
    replay = ReplayGuard(ManualClock(NOW))
    with pytest.raises(EnvelopeError, match="not the one that was signed"):
        accept(ENVELOPE, sha256(b"other"), replay)
    accept(ENVELOPE, BODY, replay)


@pytest.mark.parametrize("kind", ["", "Update", "1x", "a" * 33, "a/b", "ü", "a\n"])
def test_a_name_that_is_no_kind_is_not_sealed(kind: str) -> None:
    assert not is_kind(kind)
    with pytest.raises(FormatError, match="names no kind"):
        seal(SENDER, DOMAIN, recipient=ME.address, kind=kind, body_digest=BODY, now=NOW)


@given(
    st.builds(
        Envelope,
        sender=st.sampled_from([SENDER.address, "", "0x" + "ff" * 20]) | st.text(),
        recipient=st.just(ME.address),
        kind=st.sampled_from(["update", "blob"]) | st.text(),
        job=st.integers(),
        round=st.integers(),
        body_digest=st.binary(min_size=30, max_size=34),
        nonce=st.binary(min_size=32, max_size=32),
        deadline=st.integers(int(NOW) - 2, int(NOW) + 400) | st.integers(),
        signature=st.binary(min_size=65, max_size=65),
    )
)
def test_no_envelope_that_was_not_sealed_opens(envelope: Envelope) -> None:
    with pytest.raises(EnvelopeError):
        inspect(envelope, ME.address, DOMAIN, NOW)
