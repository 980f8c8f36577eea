"""Merkle trees as OpenZeppelin's `MerkleProof` checks them."""

from __future__ import annotations

import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from hansa.core import merkle
from hansa.core.errors import ProtocolError
from hansa.core.types import ZERO_DIGEST

leaves = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40, unique=True)


def process_proof(proof: list[bytes], leaf: bytes) -> bytes:
    """`MerkleProof.processProof` written out again: hash with each sibling, the smaller first."""
    computed = leaf
    for sibling in proof:
        computed = keccak(computed + sibling) if computed < sibling else keccak(sibling + computed)
    return computed


def test_small_trees_by_hand() -> None:
    a, b, c = sorted(merkle.leaf(text) for text in (b"a", b"b", b"c"))
    assert merkle.root([]) == ZERO_DIGEST
    assert merkle.root([a]) == a and merkle.proof([a], a) == []
    assert merkle.root([b, a]) == keccak(a + b)
    ab = keccak(a + b)
    assert merkle.root([c, a, b]) == keccak(min(ab, c) + max(ab, c))
    assert merkle.proof([a, b, c], c) == [ab]


def test_a_leaf_is_hashed_twice() -> None:
    assert merkle.leaf(b"x") == keccak(keccak(b"x"))


@given(leaves)
def test_every_leaf_has_a_proof_that_the_contract_accepts(members: list[bytes]) -> None:
    root = merkle.root(members)
    for member in members:
        path = merkle.proof(members, member)
        assert process_proof(path, member) == root
        assert merkle.verify(path, root, member)
        assert len(path) <= (len(members) - 1).bit_length()


@given(leaves, st.randoms(use_true_random=False))
def test_the_order_of_leaves_does_not_matter(members: list[bytes], chance: object) -> None:
    shuffled = list(members)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merkle.root(shuffled) == merkle.root(members)


@given(leaves, st.data())
def test_a_changed_proof_or_leaf_is_refused(members: list[bytes], data: st.DataObject) -> None:
    root = merkle.root(members)
    member = data.draw(st.sampled_from(members))
    path = merkle.proof(members, member)
    stranger = data.draw(st.binary(min_size=32, max_size=32).filter(lambda leaf: leaf not in members))
    assert not merkle.verify(path, root, stranger)
    assert not merkle.verify([*path, stranger], root, member)
    if path:
        place = data.draw(st.integers(0, len(path) - 1))
        assert not merkle.verify([*path[:place], stranger, *path[place + 1 :]], root, member)
        assert not merkle.verify(path[:-1], root, member)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=3, max_size=21, unique=True).filter(lambda members: len(members) % 2 == 1))
def test_an_odd_last_leaf_is_not_doubled(members: list[bytes]) -> None:
    """Two different leaf sets must not share a root, as they do where the odd one is paired with itself."""
    assert merkle.root(members) != merkle.root([*members, max(members)])


def test_no_proof_for_a_stranger() -> None:
    with pytest.raises(ProtocolError, match="not a leaf"):
        merkle.proof([bytes(32)], b"\x01" * 32)
    with pytest.raises(ProtocolError, match="not a leaf"):
        merkle.proof([], bytes(32))
