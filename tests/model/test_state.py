import numpy as np
import pytest

from hansa.core.errors import FormatError
from hansa.model.layout import Layout, Tensor
from hansa.model.state import ModelState

LAYOUT = Layout((Tensor("a", (2, 3)), Tensor("b", (2,))))


def test_tensors_are_read_only_views_in_order() -> None:
    state = ModelState(LAYOUT, np.arange(8, dtype=np.float32))
    tensors = state.tensors()
    assert list(tensors) == ["a", "b"]
    assert tensors["a"].tolist() == [[0, 1, 2], [3, 4, 5]] and tensors["b"].tolist() == [6, 7]
    assert np.shares_memory(tensors["a"], state.vector)
    with pytest.raises(ValueError, match="read-only"):
        tensors["a"][0, 0] = 1


def test_a_writable_vector_stays_its_owners() -> None:
    vector = np.zeros(8, np.float32)
    ModelState(LAYOUT, vector)
    vector[0] = 1  # Still allowed: only the state's own view is locked.


@pytest.mark.parametrize("vector", [np.zeros(7, np.float32), np.zeros(8), np.zeros((2, 4), np.float32)])
def test_another_shape_or_type_is_refused(vector: np.ndarray) -> None:
    with pytest.raises(FormatError, match="must be float32 of shape"):
        ModelState(LAYOUT, vector)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    vector = np.zeros(8, np.float32)
    vector[7] = value
    with pytest.raises(FormatError, match="not finite"):
        ModelState(LAYOUT, vector)


def test_equality_is_of_bits() -> None:
    zero = ModelState(LAYOUT, np.zeros(8, np.float32))
    assert zero == ModelState(LAYOUT, np.zeros(8, np.float32)) and len({zero, ModelState(LAYOUT, np.zeros(8, np.float32))}) == 1
    assert zero != ModelState(LAYOUT, np.full(8, -0.0, np.float32))
    assert zero != ModelState(Layout((Tensor("a", (8,)),)), np.zeros(8, np.float32))
