from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest

from hansa.core.encoding import decode, encode
from hansa.core.errors import FormatError, IdentityError
from hansa.core.types import Address
from hansa.identity.certificate import NodeBinding
from hansa.identity.keys import AccountKey
from hansa.identity.statements import Attestation, Evaluation, HoldReceipt, RoundNotice, Statement, UpdateReceipt, UpdateStatement
from hansa.identity.typed import Domain

from .test_typed import reference

SOURCES = Path(__file__).resolve().parents[2] / "contracts" / "src"
KEY = AccountKey(b"\x01" * 32)
DOMAIN = Domain(31337, Address("0x" + "ab" * 20))
A, B = b"\xaa" * 32, b"\xbb" * 32

STATEMENTS: list[Statement] = [
    UpdateStatement(7, 3, KEY.address, A, B, 1 << 40, 600, bytes(32)),
    UpdateReceipt(7, 3, 1, KEY.address, A),
    HoldReceipt(7, 3, A, 1 << 20, 1_700_000_000),
    RoundNotice(7, 3, 2, A, 1_700_000_000),
    Attestation(7, 3, 1, A, 3, B),
    Evaluation(7, 15, A, B, -5, 2**63 - 1, True),
    NodeBinding("https", A, 1_800_000_000, 4),
]


def test_every_statement_is_tried_here() -> None:
    def below(kind: type) -> set[type]:
        return {kind} | {deeper for sub in kind.__subclasses__() for deeper in below(sub)}

    assert below(Statement) - {Statement} == {type(statement) for statement in STATEMENTS}


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: type(statement).__name__)
def test_fields_stand_in_the_order_and_under_the_names_of_the_type(statement: Statement) -> None:
    kind = type(statement)
    assert kind.TYPE.name == kind.__name__
    assert kind.__struct_encode_fields__ == tuple(name for name, _ in kind.TYPE.fields)
    python = {"uint": int, "int": int, "address": Address, "bool": bool, "string": str, "bytes": bytes}
    hints = get_type_hints(kind)
    assert [hints[field] for field in kind.__struct_fields__] == [python[re.sub(r"\d", "", name)] for _, name in kind.TYPE.fields]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: type(statement).__name__)
def test_digests_are_those_of_eth_account_in_the_statements_own_domain(statement: Statement) -> None:
    fields: tuple[Any, ...] = msgspec.structs.astuple(statement)
    own = msgspec.structs.replace(DOMAIN, name=statement.DOMAIN)
    assert statement.digest(DOMAIN) == statement.digest(own) == reference(statement.TYPE, own, fields)


@pytest.mark.parametrize("kind", [Attestation, Evaluation])
def test_type_and_domain_are_those_of_the_contract_that_checks_the_statement(kind: type[Statement]) -> None:
    sources = [path.read_text() for path in SOURCES.rglob("*.sol")]
    [source] = [text for text in sources if kind.TYPE.declaration in text]
    assert f'EIP712("{kind.DOMAIN}", "1")' in source


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: type(statement).__name__)
def test_a_signature_names_its_signer_and_no_other_statement_or_place(statement: Statement) -> None:
    signature = statement.sign(DOMAIN, KEY)
    assert statement.signer_of(DOMAIN, signature) == KEY.address
    first = statement.__struct_fields__[-1]
    value = getattr(statement, first)
    changed = msgspec.structs.replace(
        statement, **{first: not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else B[::-1][:31] + b"x"}
    )
    assert changed.signer_of(DOMAIN, signature) != KEY.address
    assert statement.signer_of(Domain(1, DOMAIN.contract), signature) != KEY.address
    with pytest.raises(IdentityError):
        statement.signer_of(DOMAIN, signature[:64])


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: type(statement).__name__)
def test_statements_survive_the_wire_and_unknown_fields_do_not(statement: Statement) -> None:
    assert decode(encode(statement), type(statement)) == statement
    extended = msgspec.json.decode(encode(statement)) | {"extra": 1}
    with pytest.raises(FormatError):
        decode(msgspec.json.encode(extended), type(statement))


@pytest.mark.parametrize(
    "statement",
    [
        RoundNotice(7, 1 << 32, 2, A, 1),
        RoundNotice(7, 3, 2, A[:31], 1),
        RoundNotice(7, 3, 2, A, 1 << 40),
        UpdateReceipt(7, 3, 1, Address(KEY.address.upper()), A),
        Evaluation(7, 256, A, B, 0, 0, True),
    ],
)
def test_values_out_of_range_have_no_digest(statement: Statement) -> None:
    with pytest.raises(FormatError):
        statement.digest(DOMAIN)


def test_two_kinds_with_equal_fields_have_different_digests() -> None:
    assert RoundNotice(7, 3, 2, A, 1).digest(DOMAIN) != HoldReceipt(7, 3, A, 2, 1).digest(DOMAIN)
