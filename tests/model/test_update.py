import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import FormatError, ProtocolError
from hansa.model.layout import Layout, Tensor
from hansa.model.update import MAX_WEIGHT, Update, check_range, dequantise, largest, quantise, uniform_scales

LAYOUT = Layout((Tensor("bias", (2,)), Tensor("weight", (2, 3))))
SCALES = (2.0**-10, 2.0**-12)
VALUES = np.array([1, -2, 3, -4, 5, -32767, 32767, 0], np.int16)
UPDATE = Update(LAYOUT, SCALES, VALUES, 7)


def real(*values: float) -> np.ndarray:
    return np.array(values + (0.0,) * (8 - len(values)), np.float32)


def test_rounding_is_to_nearest_even_and_saturates() -> None:
    scales = (1.0, 1.0)
    values, saturated = quantise(LAYOUT, real(0.5, 1.5, 2.5, -0.5, -1.5, 32767.4, 40000, -40000), scales)
    assert values.tolist() == [0, 2, 2, 0, -2, 32767, 32767, -32767] and values.dtype == np.int16
    assert saturated == 2


def test_each_tensor_has_its_own_scale() -> None:
    values, _ = quantise(LAYOUT, np.full(8, 0.25, np.float32), (0.25, 0.125))
    assert values.tolist() == [1, 1, 2, 2, 2, 2, 2, 2]
    assert dequantise(LAYOUT, values, (0.25, 0.125)).tolist() == [0.25] * 8


@given(st.integers(0, 1 << 30), st.sampled_from([16, 32]), st.lists(st.sampled_from([1e-4, 3e-5, 1.0]), min_size=3, max_size=3))
def test_blocks_and_stretches_of_one_scale_change_no_bit(seed: int, bits: int, scales: list[float]) -> None:
    random = np.random.default_rng(seed)
    layout = Layout(tuple(Tensor(name, (int(size),)) for name, size in zip("abc", random.integers(1, 12_000, 3), strict=True)))
    delta = (random.standard_normal(layout.size) * 10 ** random.uniform(-4, 2)).astype(np.float32)
    each = np.concatenate([np.full(tensor.size, scale) for tensor, scale in zip(layout.tensors, scales, strict=True)])
    plain = np.rint(delta.astype(np.float64) / each)
    values, saturated = quantise(layout, delta, tuple(scales), bits)
    assert np.array_equal(values, np.clip(plain, -largest(bits), largest(bits)).astype(values.dtype))
    assert saturated == np.count_nonzero(np.abs(plain) > largest(bits))


@given(st.lists(st.floats(-4, 4, width=32), min_size=8, max_size=8), st.sampled_from([16, 32]))
def test_the_error_is_at_most_half_a_scale(values: list[float], bits: int) -> None:
    delta, scales = np.array(values, np.float32), uniform_scales(LAYOUT, 4.0, bits)
    integers, saturated = quantise(LAYOUT, delta, scales, bits)
    assert saturated == 0
    assert np.abs(dequantise(LAYOUT, integers, scales) - delta).max() <= scales[0] / 2 * (1 + 1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_update_that_is_not_finite_is_not_quantised(value: float) -> None:
    with pytest.raises(FormatError, match="not finite"):
        quantise(LAYOUT, real(value), SCALES)


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 0.0), (1.0, -1.0), (float("nan"), 1.0), (1.0, float("inf")), (1.0, 2.0**65)])
def test_bad_scales_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(FormatError, match="scale"):
        Update(LAYOUT, scales, VALUES, 1)


@pytest.mark.parametrize("bits", [8, 0, 64])
def test_other_widths_are_refused(bits: int) -> None:
    with pytest.raises(FormatError, match="16 or 32 bits"):
        largest(bits)


@pytest.mark.parametrize("values", [VALUES.astype(np.int64), VALUES.astype(np.uint16), VALUES[:7], VALUES.reshape(2, 4)])
def test_other_types_and_shapes_are_refused(values: np.ndarray) -> None:
    with pytest.raises(FormatError, match="must be int16 or int32"):
        Update(LAYOUT, SCALES, values, 1)


@pytest.mark.parametrize("weight", [0, -1, MAX_WEIGHT + 1])
def test_weights_are_bounded(weight: int) -> None:
    with pytest.raises(FormatError, match="weight"):
        Update(LAYOUT, SCALES, VALUES, weight)


def test_the_most_negative_integer_is_refused() -> None:
    with pytest.raises(FormatError, match="32767"):
        Update(LAYOUT, SCALES, np.full(8, -32768, np.int16), 1)


def test_r12_range_check_of_a_round() -> None:
    check_range(2047, MAX_WEIGHT, 32)
    with pytest.raises(ProtocolError, match="can exceed"):
        check_range(2049, MAX_WEIGHT, 32)
    check_range(1 << 26, MAX_WEIGHT, 16)


def test_weight_is_multiplied_in_without_overflow() -> None:
    update = Update(LAYOUT, SCALES, np.full(8, 2**31 - 1, np.int32), MAX_WEIGHT)
    assert update.weighted().tolist() == [(2**31 - 1) * MAX_WEIGHT] * 8


def test_digest_is_frozen_and_depends_on_every_part() -> None:
    assert UPDATE.digest().hex() == "d3ff6875cd30bcc9024a7fec4628462425d3f453dd52539fc128a873dd1d5ec9"
    others = [
        Update(LAYOUT, SCALES, VALUES, 8),
        Update(LAYOUT, (SCALES[0], SCALES[0]), VALUES, 7),
        Update(LAYOUT, SCALES, -VALUES, 7),
        Update(LAYOUT, SCALES, VALUES.astype(np.int32), 7),
        Update(Layout((Tensor("bias", (2,)), Tensor("weight", (6,)))), SCALES, VALUES, 7),
    ]
    assert len({UPDATE.digest(), *(other.digest() for other in others)}) == 6
