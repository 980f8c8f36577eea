import numpy as np
import pytest

from hansa.core.errors import FormatError
from hansa.learning.compression.compression import Grid, check_length
from hansa.model.layout import Layout, Tensor

LAYOUT = Layout((Tensor("a", (4,)), Tensor("b", (3,)), Tensor("c", (2,))))
GRID = Grid(LAYOUT, (1.0, 0.5, 0.25))


@pytest.mark.parametrize("bits", [16, 32])
def test_rounding_at_positions_equals_rounding_all(bits: int) -> None:
    grid = Grid(LAYOUT, (1.0, 0.5, 0.25), bits)
    random = np.random.default_rng(1)
    for _ in range(50):
        value = (random.standard_normal(9) * 10 ** random.uniform(-1, 11)).astype(np.float32)
        positions = np.flatnonzero(random.integers(0, 2, 9))
        some, saturated = grid.round_at(positions, value)
        whole, _ = grid.round(value)
        assert (some == whole[positions]).all() and some.dtype == np.int64
        beyond = value[positions] / np.repeat(grid.scales, (4, 3, 2))[positions]
        assert saturated == np.count_nonzero(np.abs(np.rint(beyond)) > grid.largest)


def test_integers_are_written_little_endian_and_read_back() -> None:
    values = np.array([1, -2, 32767, -32767])
    data = GRID.write(values)
    assert data == bytes.fromhex("0100feffff7f0180")
    found = GRID.read(b"\xaa" + data, 4, 1)
    assert found.tolist() == values.tolist() and found.dtype == np.int16
    assert GRID.read(b"", 0, 0).size == 0


def test_the_most_negative_integer_is_refused() -> None:
    with pytest.raises(FormatError, match="-32768"):
        GRID.read(bytes.fromhex("0080"), 1, 0)
    with pytest.raises(FormatError, match="-2147483648"):
        Grid(LAYOUT, (1.0, 0.5, 0.25), 32).read(bytes.fromhex("00000080"), 1, 0)


def test_a_grid_needs_a_scale_for_each_tensor_and_16_or_32_bits() -> None:
    for scales, bits in (((1.0,), 16), ((1.0, 0.0, 1.0), 16), ((1.0, 0.5, 0.25), 8)):
        with pytest.raises(FormatError):
            Grid(LAYOUT, scales, bits)


def test_lengths_are_exact() -> None:
    check_length(b"abc", 3)
    for data in (b"ab", b"abcd"):
        with pytest.raises(FormatError, match="spec gives 3"):
            check_length(data, 3)
