"""RLP against the reference library, over arbitrary nestings."""

from __future__ import annotations

import rlp as reference
from hypothesis import given
from hypothesis import strategies as st

from hansa.chain import rlp


@given(st.recursive(st.binary(max_size=80), lambda inner: st.lists(inner, max_size=5), max_leaves=30))
def test_any_nesting_encodes_as_the_reference_does(item: object) -> None:
    assert rlp.encode(item) == reference.encode(item)  # type: ignore[arg-type]


@given(st.integers(0, 2**256))
def test_integers_have_no_leading_zeros(value: int) -> None:
    assert int.from_bytes(rlp.integer(value), "big") == value
    assert rlp.integer(value)[:1] != b"\0"


def test_lengths_on_both_sides_of_each_boundary() -> None:
    for size in (0, 1, 55, 56, 255, 256, 65535, 65536):
        assert rlp.encode(b"x" * size) == reference.encode(b"x" * size)
        assert rlp.encode([b"x" * size]) == reference.encode([b"x" * size])
