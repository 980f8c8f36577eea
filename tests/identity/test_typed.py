from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.encoding import keccak
from hansa.core.errors import FormatError
from hansa.core.types import Address
from hansa.identity.typed import Domain, StructType

DOMAIN = Domain(31337, Address("0x" + "ab" * 20))
EVERYTHING = StructType("Everything(uint8 a,uint256 b,int64 c,int256 d,bytes32 e,address f,bool g,string h,bytes i,uint40 j)")

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
values = st.tuples(
    st.integers(0, 2**8 - 1),
    st.integers(0, 2**256 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**255), 2**255 - 1),
    st.binary(min_size=32, max_size=32),
    addresses,
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.integers(0, 2**40 - 1),
)


def reference(kind: StructType, domain: Domain, fields: tuple[Any, ...]) -> bytes:
    """The digest as eth_account computes it."""
    message = encode_typed_data(
        {"name": domain.name, "version": domain.version, "chainId": domain.chain_id, "verifyingContract": domain.contract},
        {kind.name: [{"name": name, "type": type_name} for name, type_name in kind.fields]},
        dict(zip((name for name, _ in kind.fields), fields, strict=True)),
    )
    return keccak(b"\x19" + message.version + message.header + message.body)


@given(values, st.integers(0, 2**256 - 1), addresses, st.sampled_from(["hansa", "RoundLedger", ""]))
def test_digests_are_those_of_eth_account(fields: tuple[Any, ...], chain: int, contract: str, name: str) -> None:
    domain = Domain(chain, Address(contract), name)
    assert EVERYTHING.digest(domain, fields) == reference(EVERYTHING, domain, fields)


def test_a_signature_over_the_digest_recovers_with_eth_account() -> None:
    account = Account.from_key(b"\x22" * 32)
    kind = StructType("Vote(uint256 job,bool passed)")
    digest = kind.digest(DOMAIN, (7, True))
    signed = Account.sign_typed_data(
        account.key,
        {"name": "hansa", "version": "1", "chainId": 31337, "verifyingContract": DOMAIN.contract},
        {"Vote": [{"name": "job", "type": "uint256"}, {"name": "passed", "type": "bool"}]},
        {"job": 7, "passed": True},
    )
    assert bytes(signed.message_hash) == digest


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("int8", 128),
        ("int8", -129),
        ("uint256", 1 << 256),
        pytest.param("uint256", 10**5000, id="huge"),
        ("uint8", True),
        ("uint8", "1"),
        ("uint8", 1.0),
        ("bytes32", bytes(31)),
        ("bytes32", bytes(33)),
        ("bytes32", "a" * 32),
        ("address", "0x" + "AB" * 20),
        ("address", "0x" + "ab" * 19),
        ("address", bytes(20)),
        ("bool", 1),
        ("string", b"text"),
        ("string", "\ud800"),
        ("bytes", "text"),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_refused(field: str, value: object) -> None:
    with pytest.raises(FormatError):
        StructType(f"One({field} value)").digest(DOMAIN, (value,))


def test_a_wrong_number_of_values_is_refused() -> None:
    with pytest.raises(FormatError, match="2 fields, 1 values"):
        StructType("Two(bool a,bool b)").digest(DOMAIN, (True,))


@pytest.mark.parametrize(
    "declaration",
    ["One(uint7 a)", "One(uint264 a)", "One(uint0 a)", "One(Other a)", "One(uint8[] a)", "One(uint8)", "One", "", "One(bool a,)"],
)
def test_a_type_string_that_is_not_supported_is_refused(declaration: str) -> None:
    with pytest.raises(FormatError):
        StructType(declaration)


def test_domains_separate_chains_contracts_names_and_versions() -> None:
    other = Address("0x" + "cd" * 20)
    domains = [DOMAIN, Domain(1, DOMAIN.contract), Domain(31337, other), Domain(31337, DOMAIN.contract, "RoundLedger")]
    domains.append(Domain(31337, DOMAIN.contract, version="2"))
    assert len({domain.separator for domain in domains}) == 5
    with pytest.raises(FormatError):
        _ = Domain(-1, other).separator
