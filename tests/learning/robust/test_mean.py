import numpy as np
import pytest

from hansa.core.errors import ProtocolError
from hansa.learning.robust import Mean


def test_the_mean_is_the_sum_over_the_count() -> None:
    combined = Mean().apply(np.array([[1, -1], [2, 5], [4, 0]], np.int16))
    assert (combined.values.tolist(), combined.weight, combined.count, combined.left_out) == ([7, 4], 3, 3, ())


def test_one_bad_row_moves_it_anywhere() -> None:
    rows = np.zeros((10, 1), np.int16)
    rows[3] = 32767
    assert Mean().apply(rows).values.tolist() == [32767]


def test_no_rows_are_refused() -> None:
    with pytest.raises(ProtocolError, match="no aggregate"):
        Mean().check(0)
