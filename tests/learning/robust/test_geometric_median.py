import numpy as np
import pytest

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.robust import GeometricMedian
from hansa.learning.robust.geometric_median import squared_lengths
from hansa.learning.robust.gram import gram
from tests.learning.robust.cases import KINDS, normal
from tests.learning.robust.oracles import exact, weiszfeld


def real(rule: GeometricMedian, rows: np.ndarray) -> np.ndarray:
    combined = rule.apply(rows)
    return combined.values / combined.weight


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("iterations", [1, 3, 20])
def test_it_is_weiszfelds_iteration_to_the_digits_of_a_weight(kind: type, iterations: int) -> None:
    for seed in range(5):
        rows = normal(11, 40, kind, seed)
        gap = np.abs(real(GeometricMedian(2, iterations), rows) - weiszfeld(exact(rows), iterations)).max()
        assert gap < np.iinfo(kind).max * 2.0**-19


def test_no_other_point_is_nearer_to_all_rows() -> None:
    rows = normal(11, 20, np.int16)
    found = real(GeometricMedian(2, 200), rows)

    def distance(point: np.ndarray) -> float:
        return float(np.sqrt(((rows - point) ** 2).sum(axis=1)).sum())

    random = np.random.default_rng(0)
    assert all(distance(found) <= distance(found + random.standard_normal(20) * size) for size in (1, 10, 100) for _ in range(20))


def test_bad_rows_however_far_move_it_little() -> None:
    rows = np.random.default_rng(0).integers(-100, 101, (11, 20)).astype(np.int32)
    kept = real(GeometricMedian(5, 100), rows)
    rows[:5] = 2**31 - 1
    assert np.abs(real(GeometricMedian(5, 100), rows) - kept).max() < 500


def test_a_row_on_the_median_itself_has_a_finite_weight() -> None:
    rows = np.array([[0, 0], [10, 0], [-10, 0], [0, 10], [0, -10]], np.int16)
    combined = GeometricMedian(1, 50).apply(rows)
    assert np.abs(combined.values / combined.weight).max() < 1e-4


def test_lengths_are_exact_squares_and_never_negative() -> None:
    rows = normal(5, 30, np.int32)
    weights, total = [3, 1, 4, 1, 5], 17
    scaled = total * rows.astype(object) - np.array(weights, object) @ rows.astype(object)
    assert squared_lengths(gram(rows), weights, total) == (scaled**2).sum(axis=1).tolist()


def test_bounds() -> None:
    GeometricMedian(1, 1).check(3)
    with pytest.raises(ProtocolError, match="with 2 rows f can be 0 at most"):
        GeometricMedian(1, 1).check(2)
    for iterations in (0, 201):
        with pytest.raises(FormatError, match="1 to 200 iterations"):
            GeometricMedian(1, iterations)
