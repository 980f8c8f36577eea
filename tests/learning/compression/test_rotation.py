import numpy as np
import pytest

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.compression.rotation import SUM_LIMIT, rotate, rotate_back, rotated_layout, rotated_size
from hansa.model.layout import MAX_SIZE, Layout, Tensor

LAYOUT = Layout((Tensor("a", (50, 50)), Tensor("b", (3,)), Tensor("c", ()), Tensor("d", (2, 1024))))
SCALES = (2.0**-20, 2.0**-21, 2.0**-22, 2.0**-23)
VALUE = np.random.Generator(np.random.PCG64(1)).standard_normal(LAYOUT.size).astype(np.float32)


def hadamard(size: int) -> np.ndarray:
    matrix = np.ones((1, 1), np.int64)
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


def signs(size: int, seed: int) -> np.ndarray:
    words = np.random.PCG64(seed).random_raw(-(-size // 64)).tolist()
    return np.array([-1 if words[i // 64] >> i % 64 & 1 else 1 for i in range(size)])


def test_blocks_fill_the_last_power_of_two() -> None:
    assert [rotated_size(size) for size in (1, 2, 3, 512, 513, 1023, 1024, 1025, 1600, 2048)] == [
        1, 2, 4, 512, 1024, 1024, 1024, 1025, 2048, 2048,
    ]  # fmt: skip
    assert [tensor.shape for tensor in rotated_layout(LAYOUT).tensors] == [(2560,), (4,), (1,), (2048,)]


def test_a_rotation_is_signs_then_hadamard_over_the_root_of_the_block() -> None:
    rotated = rotate(LAYOUT, VALUE, 5)
    flips = signs(rotated.size, 5)
    padded = np.concatenate([VALUE[:2500], np.zeros(60), VALUE[2500:2503], [0.0], VALUE[2503:]]) * flips
    for start, width in ((0, 1024), (1024, 1024), (2048, 512), (2560, 4), (2564, 1), (2565, 1024), (3589, 1024)):
        expected = hadamard(width) @ padded[start : start + width] / np.sqrt(width)
        assert np.allclose(rotated[start : start + width], expected, atol=1e-5)


def test_lengths_are_kept_and_peaks_are_spread() -> None:
    peak = np.zeros(LAYOUT.size, np.float32)
    peak[17] = 100.0
    rotated = rotate(LAYOUT, peak, 5)
    assert np.linalg.norm(rotated) == pytest.approx(100.0, rel=1e-6) and np.abs(rotated).max() == pytest.approx(100 / 32)
    assert np.linalg.norm(rotate(LAYOUT, VALUE, 5)) == pytest.approx(np.linalg.norm(VALUE), rel=1e-6)


def test_a_sum_is_rotated_back_exactly_as_integers_are() -> None:
    random = np.random.Generator(np.random.PCG64(2))
    sums = random.integers(-SUM_LIMIT + 1, SUM_LIMIT, rotated_layout(LAYOUT).size)
    found = rotate_back(LAYOUT, SCALES, sums, 5)
    exact = [int(x) for x in hadamard(1024).astype(object) @ sums[:1024].astype(object)]
    flips = signs(sums.size, 5).tolist()
    assert found[:1024].tolist() == [float(x * flip) * (SCALES[0] / 32) for x, flip in zip(exact, flips[:1024], strict=True)]
    assert found.shape == (LAYOUT.size,) and found[2503] == float(int(sums[2564]) * flips[2564]) * SCALES[2]


def test_back_and_forth_is_the_same_vector_but_for_rounding() -> None:
    sums = np.rint(rotate(LAYOUT, VALUE, 5) * 2.0**30).astype(np.int64)
    assert np.abs(rotate_back(LAYOUT, (2.0**-30,) * 4, sums, 5) - VALUE).max() < 1e-6
    assert np.abs(rotate_back(LAYOUT, (2.0**-30,) * 4, sums, 6) - VALUE).max() > 0.1


def test_sums_that_could_leave_int64_are_refused() -> None:
    sums = np.zeros(rotated_layout(LAYOUT).size, np.int64)
    for wrong in (SUM_LIMIT, -SUM_LIMIT, -(1 << 63)):
        sums[3] = wrong
        with pytest.raises(ProtocolError, match="use smaller weights"):
            rotate_back(LAYOUT, SCALES, sums, 5)


def test_sums_of_another_layout_are_refused() -> None:
    for wrong in (np.zeros(LAYOUT.size, np.int64), np.zeros(rotated_layout(LAYOUT).size)):
        with pytest.raises(FormatError, match="rotated updates is integers of shape"):
            rotate_back(LAYOUT, SCALES, wrong, 5)


def test_a_layout_that_would_outgrow_the_limit_is_refused() -> None:
    with pytest.raises(FormatError, match="quantise it without rotation"):
        rotated_layout(Layout((Tensor("a", (513,)), Tensor("b", (MAX_SIZE - 513,)))))
