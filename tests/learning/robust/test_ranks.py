import numpy as np
import pytest

from hansa.learning.robust.ranks import nearest_sum, rank_sum
from tests.learning.robust.cases import SHAPES

WIDTHS = (np.int16, np.int32, np.int64)


def sample(rows: int, columns: int, kind: type, shape: str) -> np.ndarray:
    values = SHAPES[shape](rows, columns, np.int32 if kind == np.int64 else kind)
    return values.astype(kind) << 25 if kind == np.int64 else values


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("kind", WIDTHS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [1, 2, 5, 20])
def test_rank_sums_are_those_of_the_sorted_column(rows: int, shape: str, kind: type, long: bool) -> None:
    values = sample(rows, 133, kind, shape)
    columns = [sorted(column) for column in values.T.tolist()]
    for ranks in {range(rows), range((rows - 1) // 2, rows // 2 + 1), range(rows - 1, rows)}:
        expected = [sum(column[ranks.start : ranks.stop]) for column in columns]
        assert rank_sum(list(values), ranks, long).tolist() == expected


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("kind", WIDTHS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [1, 2, 5, 12])
def test_nearest_sums_are_those_of_the_definition(rows: int, shape: str, kind: type, long: bool) -> None:
    values = sample(rows, 133, kind, shape)
    for count in {1, (rows + 1) // 2, rows}:
        expected = []
        for column in values.T.tolist():
            ordered = sorted(column)
            middle = ordered[(rows - 1) // 2] + ordered[rows // 2]
            expected.append(sum(sorted(column, key=lambda each, middle=middle: (abs(2 * each - middle), each))[:count]))
        assert nearest_sum(list(values), count, long).tolist() == expected


@pytest.mark.parametrize("long", [False, True])
def test_of_two_values_equally_near_the_smaller_is_taken(long: bool) -> None:
    values = np.repeat(np.array([[-4], [0], [4]], np.int16), 64, axis=1)
    assert nearest_sum(list(values), 2, long).tolist() == [-4] * 64
