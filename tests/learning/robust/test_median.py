import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import ProtocolError
from hansa.learning.robust import Median, TrimmedMean


def test_an_even_number_keeps_the_last_bit() -> None:
    combined = Median().apply(np.array([[1], [2], [-32767], [32767]], np.int16))
    assert (combined.values.tolist(), combined.weight, combined.count, combined.left_out) == ([3], 2, 2, ())


def test_an_odd_number_has_one_middle() -> None:
    combined = Median().apply(np.array([[5], [2], [9]], np.int16))
    assert (combined.values.tolist(), combined.weight, combined.count) == ([5], 1, 1)


@pytest.mark.parametrize("kind", [np.int16, np.int32])
def test_both_middles_at_the_end_of_the_range_do_not_overflow(kind: type) -> None:
    top = np.iinfo(kind).max
    assert Median().apply(np.full((4, 3), top, kind)).values.tolist() == [2 * top] * 3
    assert Median().apply(np.full((4, 3), -top, kind)).values.tolist() == [-2 * top] * 3


def test_no_rows_are_refused() -> None:
    with pytest.raises(ProtocolError, match="needs at least 1"):
        Median().check(0)


NUMBERS = st.integers(-(2**31) + 1, 2**31 - 1)


@given(st.lists(NUMBERS, min_size=3, max_size=9), st.data())
def test_fewer_than_half_bad_rows_of_any_size_keep_it_within_the_good_ones(good: list[int], data: st.DataObject) -> None:
    bad = data.draw(st.lists(NUMBERS, max_size=len(good) - 1))
    rows = np.array(data.draw(st.permutations(good + bad)), np.int32)[:, None]
    for rule in (Median(), TrimmedMean(len(bad))):
        combined = rule.apply(rows)
        assert min(good) * combined.weight <= int(combined.values[0]) <= max(good) * combined.weight
