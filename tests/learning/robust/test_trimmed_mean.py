import numpy as np
import pytest

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.robust import Mean, TrimmedMean


def test_exactly_f_are_cut_at_either_end() -> None:
    combined = TrimmedMean(1).apply(np.array([[100, 1], [-100, 2], [3, 9], [4, 4]], np.int16))
    assert (combined.values.tolist(), combined.weight, combined.count, combined.left_out) == ([7, 6], 2, 2, ())


def test_without_any_to_cut_it_is_the_mean() -> None:
    rows = np.arange(12, dtype=np.int16).reshape(3, 4)
    trimmed, mean = TrimmedMean(0).apply(rows), Mean().apply(rows)
    assert trimmed.values.tolist() == mean.values.tolist() and trimmed.weight == mean.weight


def test_a_third_row_tells_which_of_two_is_bad_and_two_do_not() -> None:
    TrimmedMean(1).check(3)
    with pytest.raises(ProtocolError, match=r"f=1 needs at least 3 rows, not 2; with 2 rows f can be 0 at most"):
        TrimmedMean(1).check(2)


@pytest.mark.parametrize("f", [-1, 1024])
def test_impossible_tolerances_are_refused(f: int) -> None:
    with pytest.raises(FormatError, match="bad rows a rule tolerates"):
        TrimmedMean(f)
