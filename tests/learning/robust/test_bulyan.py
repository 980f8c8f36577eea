import numpy as np
import pytest

from hansa.core.errors import ProtocolError
from hansa.learning.robust import Bulyan
from hansa.learning.robust.bulyan import selection
from hansa.learning.robust.gram import gram, squared_distances
from tests.learning.robust.cases import normal
from tests.learning.robust.oracles import bulyan, exact, krum_order, value


@pytest.mark.parametrize(("rows", "f"), [(3, 0), (4, 0), (7, 1), (8, 1), (11, 2), (16, 3)])
def test_it_is_recursive_krum_and_then_the_values_nearest_the_median(rows: int, f: int) -> None:
    for seed in range(5):
        matrix = normal(rows, 7, np.int16, seed)
        combined = Bulyan(f).apply(matrix)
        assert value(combined) == bulyan(exact(matrix), f)
        assert combined.weight == combined.count == rows - 4 * f and len(combined.left_out) == 2 * f


def test_each_pick_scores_the_rows_that_are_left() -> None:
    for seed in range(10):
        matrix = normal(13, 5, np.int16, seed)
        rows, left, picked = exact(matrix), list(range(13)), []
        for _ in range(9):
            picked.append(krum_order(rows, 2, left)[0])
            left.remove(picked[-1])
        assert selection(squared_distances(gram(matrix)), 2) == sorted(picked)


def test_equal_rows_do_not_confuse_the_neighbours() -> None:
    assert selection(squared_distances(gram(np.zeros((7, 3), np.int16))), 1) == [0, 1, 2, 3, 4]


def test_the_papers_bound_is_kept() -> None:
    Bulyan(2).check(11)
    with pytest.raises(ProtocolError, match="lower f to 1, or use nearest-neighbour mixing"):
        Bulyan(2).check(10)
