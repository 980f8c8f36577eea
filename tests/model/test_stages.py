import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import FormatError, ProtocolError
from hansa.model.layout import Layout, Tensor
from hansa.model.stages import Clip, Quantise, chain

LAYOUT = Layout((Tensor("a", (4,)),))


def test_a_long_update_is_scaled_to_the_norm_and_keeps_its_direction() -> None:
    clipped, _, measured = Clip(1.0).encode(np.array([3, 0, 4, 0], np.float32), ())
    assert clipped.tolist() == pytest.approx([0.6, 0, 0.8, 0]) and measured == {"clip.norm": 5.0, "clip.factor": 0.2}


def test_a_short_update_passes_unchanged() -> None:
    value = np.array([0.3, 0, 0.4, 0], np.float32)
    clipped, _, measured = Clip(1.0).encode(value, ())
    assert (clipped == value).all() and measured["clip.factor"] == 1.0


@pytest.mark.parametrize("value", [np.zeros(4, np.float32), np.full(4, 3e38, np.float32), np.full(4, 1e-45, np.float32)])
def test_extreme_lengths_stay_within_the_norm(value: np.ndarray) -> None:
    assert np.linalg.norm(Clip(1.0).encode(value, ())[0].astype(np.float64)) <= 1 + 1e-6


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=4, max_size=4), st.floats(1e-3, 1e3))
def test_the_norm_is_never_exceeded(values: list[float], norm: float) -> None:
    clipped = Clip(norm).encode(np.array(values, np.float32), ())[0]
    assert math.sqrt(float(np.square(clipped, dtype=np.float64).sum())) <= norm * (1 + 1e-6)


@pytest.mark.parametrize("norm", [0.0, -1.0, math.inf, math.nan])
def test_impossible_norms_are_refused(norm: float) -> None:
    with pytest.raises(FormatError, match="clipping norm"):
        Clip(norm)


def test_saturation_is_measured() -> None:
    value = np.array([1, 2, 3, 100000], np.float32)
    assert Quantise(LAYOUT, (1.0,)).encode(value, ())[2] == {"quantise.saturated": 0.25}


def test_a_sum_is_decoded_as_well_as_one_update() -> None:
    stage = Quantise(LAYOUT, (0.5,))
    assert stage.decode(np.array([1, 2, 3, 1 << 40], np.int64), ())[0].tolist() == [0.5, 1.0, 1.5, 2.0**39]
    with pytest.raises(FormatError, match="must be integers"):
        stage.decode(np.zeros(4), ())


def test_a_chain_encodes_in_order_and_decodes_in_reverse() -> None:
    both = chain(Clip(5.0), Quantise(LAYOUT, (1.0,)))
    values, state, measured = both.encode(np.array([6, 0, 8, 0], np.float32), both.initial())
    assert values.tolist() == [3, 0, 4, 0] and values.dtype == np.int16
    assert measured == {"clip.norm": 10.0, "clip.factor": 0.5, "quantise.saturated": 0.0}
    assert both.decode(values, state)[0].tolist() == [3, 0, 4, 0]


def test_a_state_of_another_chain_is_refused() -> None:
    with pytest.raises(ProtocolError, match="start from initial"):
        chain(Clip(1.0)).encode(np.zeros(4, np.float32), ())
