from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import ProtocolError
from hansa.learning.robust.gram import gram
from hansa.learning.robust.mixture import Mixture, settled
from hansa.learning.robust.ranks import rank_sum
from tests.learning.robust.cases import normal


def test_mixtures_of_mixtures_are_what_matrices_say() -> None:
    rows = normal(6, 9, np.int16)
    random = np.random.default_rng(0)
    first, second = random.integers(0, 3, (4, 6)), random.integers(0, 3, (3, 4))
    mixture = Mixture(rows).mix(first.tolist(), 20).mix(second.tolist(), 10)
    written = second.astype(object) @ first.astype(object) @ rows.astype(object)
    assert mixture.size == 3 and mixture.scale == 200
    assert mixture.gram == (written @ written.T).tolist()
    combined = mixture.weighted([1, 2, 0], 4)
    expected = [Fraction(each, 800) for each in (written[0] + 2 * written[1]).tolist()]
    assert [Fraction(each, combined.weight) for each in combined.values.tolist()] == expected


def test_distances_are_those_of_the_written_rows() -> None:
    rows = normal(5, 9, np.int32)
    mixture = Mixture(rows).mix([[1, 1, 0, 0, 0], [0, 0, 1, 0, 1]], 2)
    written = np.array([rows[0].astype(object) + rows[1], rows[2].astype(object) + rows[4]])
    assert mixture.distances[0][1] == ((written[0] - written[1]) ** 2).sum()
    assert Mixture(rows).gram == gram(rows)


def test_rows_used_and_left_out_of_a_mixture() -> None:
    mixture = Mixture(normal(4, 9, np.int16)).mix([[1, 1, 0, 0], [0, 1, 1, 0]], 2)
    assert mixture.weighted([1, 0], 1).left_out == (2, 3)
    combined = mixture.columnwise(lambda rows, long: rank_sum(rows, range(2), long), 2, [0, 1])
    assert combined.left_out == (3,) and combined.count == 3 and combined.weight == 4


def test_a_denominator_too_fine_loses_digits_to_the_nearest() -> None:
    rows = np.array([[5], [7], [-6]], np.int16)
    mixture = Mixture(rows).mix([[1 << 21, 0, 0], [0, (1 << 21) - 1, 0], [0, 0, 1]], 1 << 21)
    combined = mixture.columnwise(lambda rows, long: rank_sum(rows, range(3), long), 3, [0, 1, 2])
    assert combined.weight == 3 << 20 and combined.count == 3
    exact = 5 * (1 << 21) + 7 * ((1 << 21) - 1) - 6
    assert combined.values.tolist() == [round(Fraction(exact, 2))] or abs(2 * int(combined.values[0]) - exact) == 1


def test_a_denominator_that_cannot_be_shortened_is_refused() -> None:
    mixture = Mixture(np.zeros((3, 2), np.int16)).mix([[1, 0, 0]], (1 << 21) + 1)
    with pytest.raises(ProtocolError, match="too fine"):
        mixture.columnwise(lambda rows, long: rank_sum(rows, range(1), long), 1, [0])


WEIGHTS = st.lists(st.integers(0, 1 << 60), min_size=1, max_size=12)


@given(WEIGHTS, st.integers(0, 1 << 60))
def test_settled_weights_keep_their_proportions(weights: list[int], rest: int) -> None:
    total = sum(weights) + rest
    if not total:
        return
    kept, denominator = settled(weights, total)
    used = max(sum(map(bool, kept)), 1)
    assert sum(kept) <= denominator <= used << 20
    assert rest or not any(kept) or sum(kept) == denominator
    slack = Fraction(len(weights) + 1, denominator)
    assert all(abs(Fraction(a, denominator) - Fraction(b, total)) <= slack for a, b in zip(kept, weights, strict=True))


def test_settled_weights_have_no_common_divisor() -> None:
    assert settled([2, 4, 0], 6) == ([1, 2, 0], 3)
    assert settled([6, 0], 9) == ([2, 0], 3)
    assert settled([0, 0], 9) == ([0, 0], 1)
    assert settled([1 << 60, 1], (1 << 60) + 1) == ([1, 0], 1)
