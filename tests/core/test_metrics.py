"""Weighted means that do not depend on order or grouping."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import FormatError
from hansa.core.metrics import Mean, Metric, combine, metric

means = st.builds(Mean.of, st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**40))


def test_a_weighted_mean_weighs() -> None:
    assert combine([(metric("accuracy", 0.5), 1), (metric("accuracy", 1.0), 3)]) == [metric("accuracy", 0.875)]


def test_figures_of_other_names_units_and_labels_stay_apart() -> None:
    parts = [metric("loss", 1.0), metric("loss", 2.0, "nat"), metric("loss", 3.0, site="a"), metric("loss", 4.0, site="b")]
    assert combine((part, 1) for part in parts) == sorted(parts)


def test_labels_have_one_order() -> None:
    assert metric("m", 1.0, b="2", a="1") == Metric("m", "", (("a", "1"), ("b", "2")), 1.0)


@given(means, means, means)
def test_adding_is_associative_and_commutative_to_the_bit(a: Mean, b: Mean, c: Mean) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + Mean() == a


def test_a_sum_that_floats_get_wrong_is_right() -> None:
    parts = [Mean.of(value, 1) for value in (1e16, 1.0, -1e16, 1.0)]
    random.Random(7).shuffle(parts)
    assert sum(parts, Mean()).value == 0.5
    assert sum((1e16, 1.0, -1e16, 1.0)) / 4 != 0.5


@pytest.mark.parametrize(("value", "weight"), [(float("nan"), 1), (float("inf"), 1), (-float("inf"), 1), (1.0, -1)])
def test_what_is_no_measurement_is_refused(value: float, weight: int) -> None:
    with pytest.raises(FormatError, match="finite"):
        Mean.of(value, weight)


def test_no_examples_have_no_mean() -> None:
    with pytest.raises(FormatError, match="over no examples"):
        Mean().value  # noqa: B018
    assert combine([(metric("m", 1.0), 0)]) == []
