from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.topology.partial import Partial
from tests.learning.topology.world import exact, partials, told


def test_sums_are_exact() -> None:
    inputs = list(partials(5, 30).values())
    total = inputs[0]
    for each in inputs[1:]:
        total = total + each
    assert told(total) == exact(inputs)


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=5), st.integers(1, 2**20))
def test_the_mean_is_rounded_to_the_nearest_halves_to_even(values: list[int], weight: int) -> None:
    found = Partial(np.array(values, np.int64), weight, 2**40).mean()
    assert [int(value) for value in found] == [round(Fraction(value, weight)) for value in values]


def test_a_mean_of_halves() -> None:
    assert Partial(np.array([1, 3, -1, -3, 5], np.int64), 2, 5).mean().tolist() == [0, 2, 0, -2, 2]


def test_more_mass_is_the_same_mean() -> None:
    one = partials(1, 9)["n00"]
    assert (one.times(7).mean() == one.mean()).all() and one.times(7).weight == 7 * one.weight
    assert one.times(7).digest() != one.digest()


def test_values_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="read-only"):
        partials(1, 3)["n00"].values[0] = 1


@pytest.mark.parametrize(
    ("values", "weight", "bound"),
    [
        (np.zeros(2, np.int32), 1, 1),
        (np.zeros((2, 2), np.int64), 1, 1),
        (np.zeros(0, np.int64), 1, 1),
        (np.array([11]), 2, 5),
        (np.array([-11]), 2, 5),
        (np.array([np.iinfo(np.int64).min]), 2, 5),
        (np.zeros(2, np.int64), 0, 1),
        (np.zeros(2, np.int64), 1 << 31, 1 << 31),
    ],
)
def test_what_is_no_partial_sum_is_refused(values: np.ndarray, weight: int, bound: int) -> None:
    with pytest.raises(FormatError):
        Partial(values, weight, bound)


def test_sums_of_different_rounds_are_refused() -> None:
    one = partials(1, 3)["n00"]
    with pytest.raises(ProtocolError, match="different lengths or bounds"):
        _ = one + Partial(one.values, one.weight, one.bound + 1)
    with pytest.raises(ProtocolError, match="divide it first"):
        one.times(1 << 60)
