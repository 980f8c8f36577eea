import pytest

from hansa.core.errors import DataError
from hansa.learning.metrics import Evaluation


def test_parts_add_up_to_the_whole() -> None:
    total = Evaluation(3, 1.5, 2) + Evaluation(1, 0.5, 1)
    assert total == Evaluation(4, 2.0, 3) and (total.loss, total.accuracy) == (0.5, 0.75)


def test_a_regression_has_no_accuracy() -> None:
    assert (Evaluation(2, 1.0) + Evaluation(2, 1.0)).accuracy is None


def test_nothing_and_mixtures_are_refused() -> None:
    with pytest.raises(DataError, match="at least one row"):
        Evaluation(0, 0.0, 0)
    with pytest.raises(DataError, match="cannot be added"):
        Evaluation(1, 1.0, 1) + Evaluation(1, 1.0)
