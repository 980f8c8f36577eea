from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hansa.core.errors import FormatError
from hansa.core.types import Address, BlobRef, Wei
from hansa.identity.statements import UpdateStatement
from hansa.rounds import manifest as manifests
from hansa.rounds.manifest import Accepted, Credit, Manifest, credit_rows
from tests.rounds.states import JOB, C, T


def accepted(trainer: str) -> Accepted:
    return Accepted(UpdateStatement(JOB, 1, Address(trainer), b"b" * 32, b"d" * 32, 4, 1, bytes(32)), b"s" * 65)


TABLE = {Address(C[0]): Wei(2**200), Address(T[0]): Wei(5)}
PAGE = Manifest(
    job=JOB, round=1, attempt=0, coordinator=C[0], base=BlobRef(b"b" * 32, 24), updates=tuple(accepted(each) for each in T[:3]),
    aggregate=BlobRef(b"a" * 32, 24), model=BlobRef(b"m" * 32, 24), credits=credit_rows(TABLE),
)  # fmt: skip


def test_a_manifest_survives_writing_and_reading_with_amounts_beyond_any_float() -> None:
    page = manifests.read(manifests.write(PAGE))
    assert page == PAGE and page.credit_table() == TABLE
    assert page.updates[0].ref == BlobRef(b"d" * 32, 4)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"updates": tuple(accepted(each) for each in (T[0], T[0]))}, "twice or out of order"),
        ({"updates": tuple(accepted(each) for each in (T[1], T[0]))}, "twice or out of order"),
        ({"credits": (Credit(T[0], "1"), Credit(T[0], "1"))}, "twice or out of order"),
        ({"credits": (Credit(T[1], "1"), Credit(T[0], "1"))}, "twice or out of order"),
        ({"credits": (Credit(T[0], "-1"),)}, "decimal amount"),
        ({"credits": (Credit(T[0], "1e9"),)}, "decimal amount"),
        ({"credits": (Credit(T[0], ""),)}, "decimal amount"),
        ({"credits": (Credit(T[0], "9" * 79),)}, "decimal amount"),
    ],
)
def test_a_list_that_is_not_a_set_and_an_amount_that_is_no_number_are_refused(other: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        manifests.read(manifests.write(replace(PAGE, **other)))


def test_a_manifest_beyond_the_bound_is_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "MAX_MANIFEST", 100)
    with pytest.raises(FormatError, match="exceeds the limit of 100"):
        manifests.read(manifests.write(PAGE))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        manifests.read(data)


@given(st.sampled_from(["job", "updates", "credits", "coordinator", "base"]), st.sampled_from([None, -1, "x", [], {}, [[]], 2**70]))
def test_a_field_of_another_kind_is_refused_or_read_as_it_stands(field: str, value: object) -> None:
    page = json.loads(manifests.write(PAGE))
    page[field] = value
    try:
        assert getattr(manifests.read(json.dumps(page).encode()), field) in (value, tuple(value) if isinstance(value, list) else value)
    except FormatError:
        return
