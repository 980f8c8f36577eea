from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from hansa.core import merkle
from hansa.core.encoding import keccak
from hansa.core.types import ZERO_DIGEST, Address
from hansa.identity.statements import UpdateStatement
from hansa.rounds.anchor import Anchor, update_leaf, updates_root
from tests.rounds.states import JOB, T, anchor, running

ONE = anchor(running())


def said(trainer: str) -> UpdateStatement:
    return UpdateStatement(JOB, 1, Address(trainer), b"b" * 32, b"d" * 32, 4, 1, bytes(32))


def test_the_digest_is_keccak_of_twelve_abi_words_in_the_contracts_order() -> None:
    words = [
        value.to_bytes(32) if isinstance(value, int) else value
        for value in (JOB, 1, 0, ONE.base, ONE.updates, ONE.manifest, 9, ONE.aggregate, ONE.model, 5, ONE.credits, 4)
    ]
    assert ONE.digest() == keccak(b"".join(words))


@pytest.mark.parametrize("field", Anchor.__struct_fields__)
def test_every_field_changes_the_digest(field: str) -> None:
    value = getattr(ONE, field)
    other = replace(ONE, **{field: value + 1 if isinstance(value, int) else b"?" * 32})
    assert other.digest() != ONE.digest()


def test_an_anchor_with_a_field_too_many_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({**msgspec.structs.asdict(ONE), "extra": 1}, Anchor)


def test_the_updates_root_does_not_depend_on_their_order() -> None:
    statements = [said(each) for each in T]
    root = updates_root(statements)
    assert root == updates_root(reversed(statements)) != updates_root(statements[:3])
    leaves = [update_leaf(each) for each in statements]
    assert all(merkle.verify(merkle.proof(leaves, leaf), root, leaf) for leaf in leaves) and updates_root([]) == ZERO_DIGEST


@pytest.mark.parametrize("other", [{"job": 8}, {"round": 2}, {"trainer": T[1]}, {"update": b"e" * 32}, {"weight": 2}])
def test_a_leaf_binds_job_round_trainer_update_and_weight(other: dict[str, object]) -> None:
    assert update_leaf(said(T[0])) != update_leaf(replace(said(T[0]), **other))
