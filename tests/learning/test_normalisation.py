import numpy as np
import pytest

from hansa.core.errors import DataError
from hansa.learning.examples import Examples
from hansa.learning.normalisation import Normalisation, standardised
from hansa.learning.schema import Numeric, Schema, Tokens


def rows(*features: tuple[float, ...]) -> Examples:
    return Examples(np.array(features, np.float32), np.zeros(len(features), np.int64))


def test_scores_are_by_the_fitted_rows_with_n_minus_1() -> None:
    fitted = Normalisation.fit(rows((1, 10), (2, 20), (3, 30)))
    assert fitted.mean.tolist() == [2, 20] and fitted.deviation.tolist() == [1, 10]
    scored = fitted.apply(rows((4, 0)))
    assert scored.features.tolist() == [pytest.approx([2, -2])] and scored.features.dtype == np.float32


@pytest.mark.parametrize("value", [0.0, 0.1, 1e20])
def test_a_feature_constant_in_training_cannot_explode_elsewhere(value: float) -> None:
    fitted = Normalisation.fit(rows(*[(value, float(i)) for i in range(7)]))
    assert fitted.apply(rows((value + 1, 3.0), (value * 2, 3.0))).features[:, 0].tolist() == [0, 0]


def test_a_tables_rows_are_scored_and_a_texts_are_not() -> None:
    found = rows((1, 10), (2, 20), (3, 30))
    table, text = Schema((Numeric("a"), Numeric("b")), "y"), Schema((Tokens("play", 1),))
    assert standardised(found, table).features.tobytes() == Normalisation.fit(found).apply(found).features.tobytes()
    assert standardised(found, text) is found


def test_a_single_row_becomes_zeros() -> None:
    only = rows((5, 6))
    assert Normalisation.fit(only).apply(only).features.tolist() == [[0, 0]]


def test_another_number_of_features_is_refused() -> None:
    with pytest.raises(DataError, match="do not fit"):
        Normalisation.fit(rows((1, 2))).apply(rows((1, 2, 3)))
