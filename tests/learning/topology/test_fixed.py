import numpy as np
import pytest

from hansa.core.errors import FormatError
from hansa.learning.topology.fixed import to_integers, to_state
from hansa.model.layout import Layout, Tensor
from hansa.model.state import ModelState

LAYOUT = Layout((Tensor("w", (1000,)),))


def test_a_model_survives_to_half_a_unit() -> None:
    vector = (np.random.Generator(np.random.PCG64(1)).standard_normal(1000) * 0.2).astype(np.float32)
    back = to_state(LAYOUT, to_integers(ModelState(LAYOUT, vector)))
    assert np.abs(back.vector - vector).max() <= 2.0**-25 + 2.0**-27
    assert to_state(LAYOUT, to_integers(back)) == back


def test_a_weight_too_large_is_refused() -> None:
    fits, large = np.zeros(1000, np.float32), np.zeros(1000, np.float32)
    fits[3], large[3] = 127.99, -128.0
    to_integers(ModelState(LAYOUT, fits))
    with pytest.raises(FormatError, match="128 or more"):
        to_integers(ModelState(LAYOUT, large))
