import numpy as np
import pytest

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.robust import Krum, MultiKrum
from hansa.learning.robust.gram import squared_distances
from hansa.learning.robust.krum import scores
from tests.learning.robust.cases import offset
from tests.learning.robust.oracles import exact, krum_order


def line(*points: int) -> np.ndarray:
    return np.array(points, np.int16)[:, None]


def test_scores_count_n_less_f_less_two_neighbours_and_never_the_row_itself() -> None:
    points = line(0, 100, 250, 300, 10000)
    distances = squared_distances((points.astype(object) @ points.astype(object).T).tolist())
    assert scores(distances, 1) == [72500, 32500, 25000, 42500, 9700**2 + 9750**2]


def test_of_equal_scores_the_first_row_wins() -> None:
    assert Krum(0).apply(line(5, 5, 5, 5)).left_out == (1, 2, 3)
    assert Krum(1).apply(line(9, 1, 2, 3, 9)).values.tolist() == [2]
    assert MultiKrum(0, 2).apply(line(7, 7, 7, 7)).left_out == (2, 3)


def test_multi_krum_averages_n_less_f_unless_told() -> None:
    rows = line(1, 2, 3, 4, 100)
    default, two = MultiKrum(1).apply(rows), MultiKrum(1, 2).apply(rows)
    assert (default.values.tolist(), default.weight, default.count, default.left_out) == ([10], 4, 4, (4,))
    assert (two.values.tolist(), two.weight, two.count, two.left_out) == ([5], 2, 2, (0, 3, 4))


def test_more_rows_than_are_good_are_not_averaged() -> None:
    MultiKrum(1, 4).check(5)
    with pytest.raises(ProtocolError, match="m can be 4 at most"):
        MultiKrum(1, 5).check(5)
    with pytest.raises(FormatError, match="Multi-Krum averages m rows"):
        MultiKrum(1, -1)


def test_a_large_common_offset_costs_no_digits() -> None:
    for seed in range(20):
        rows = offset(9, 30, np.int32, seed)
        best = krum_order(exact(rows), 2, list(range(9)))[0]
        assert Krum(2).apply(rows).left_out == tuple(i for i in range(9) if i != best)


@pytest.mark.parametrize(("rule", "least"), [(Krum(1), 5), (MultiKrum(1), 5), (Krum(0), 3), (Krum(4), 11)])
def test_the_papers_bound_is_kept(rule: Krum | MultiKrum, least: int) -> None:
    rule.check(least)
    with pytest.raises(ProtocolError, match="or use the trimmed mean"):
        rule.check(least - 1)
