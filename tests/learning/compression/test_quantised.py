import numpy as np
import pytest

from hansa.core.errors import FormatError
from hansa.learning.compression.compression import Grid
from hansa.learning.compression.quantised import Quantised
from hansa.model.layout import MAX_SIZE, Layout, Tensor

LAYOUT = Layout((Tensor("a", (4,)), Tensor("b", (2,))))
GRID = Grid(LAYOUT, (1.0, 1.0))


def payload(compression: Quantised, *values: float) -> bytes:
    return compression.encode(GRID, np.array(values, np.float32), compression.initial(LAYOUT), 0)[0]


def test_one_bit_is_the_sign_times_the_mean_magnitude_of_the_tensor() -> None:
    data = payload(Quantised(1), 3, -1, 0, -4, 0, 0)
    assert data == bytes.fromhex("02000000") + bytes([0b000101])
    assert Quantised(1).decode(GRID, data, 0).tolist() == [2, -2, 2, -2, 0, 0]


def test_two_bits_are_odd_multiples_of_the_step() -> None:
    data = payload(Quantised(2), 30, -10, 10, -30, 15, -15)
    assert Quantised(2).decode(GRID, data, 0).tolist() == [30, -10, 10, -30, 15, -15]
    assert data == bytes.fromhex("0a000500") + bytes([0b00_10_01_11, 0b00_11])


@pytest.mark.parametrize("bits", [8, 4])
def test_eight_and_four_bits_are_multiples_of_the_step_with_a_zero(bits: int) -> None:
    most = 127 if bits == 8 else 7
    values = [3.0 * most, -3.0 * most, 0, 6, 1, 0]
    found = Quantised(bits).decode(GRID, payload(Quantised(bits), *values), 0)
    assert found.tolist() == values


def test_the_step_is_near_the_best_one() -> None:
    layout = Layout((Tensor("a", (20_000,)),))
    grid = Grid(layout, (2.0**-12,))
    value = np.random.Generator(np.random.PCG64(3)).standard_normal(20_000).astype(np.float32)
    # Max (1960), table I: the least squared error of uniform quantisers of a normal variable; 15 and 255 levels interpolated.
    for bits, bound in ((8, 0.00015), (4, 0.0135), (2, 0.1188 * 1.03), (1, 0.3634 * 1.02)):
        data = Quantised(bits).encode(grid, value, (), 0)[0]
        error = grid.reals(Quantised(bits).decode(grid, data, 0).astype(np.int64)) - value
        assert float(np.square(error).mean() / np.square(value).mean()) < bound


def test_a_rotation_helps_where_few_coordinates_are_large() -> None:
    layout = Layout((Tensor("a", (64, 64)),))
    grid = Grid(layout, (2.0**-12,))
    value = (np.random.Generator(np.random.PCG64(3)).standard_t(2, 4096) * 0.1).astype(np.float32)

    def error(compression: Quantised) -> float:
        data = compression.encode(grid, value, (), 9)[0]
        return float(np.square(compression.restore(grid, compression.decode(grid, data, 9).astype(np.int64), 9) - value).sum())

    for bits in (4, 2):
        assert error(Quantised(bits, rotated=True)) < 0.5 * error(Quantised(bits))


@pytest.mark.parametrize("bits", [8, 4, 2, 1])
def test_steps_beyond_the_grid_are_refused(bits: int) -> None:
    most = {8: 127, 4: 7, 2: 3, 1: 1}[bits]
    size = Quantised(bits).limit(GRID) - 4
    for step, fits in ((32767 // most, True), (32767 // most + 1, False), (65535, False)):
        data = step.to_bytes(2, "little") * 2 + bytes(size)
        if fits:
            assert abs(int(Quantised(bits).decode(GRID, data, 0)[0])) == step * most
        else:
            with pytest.raises(FormatError, match="a step of a compressed update"):
                Quantised(bits).decode(GRID, data, 0)


def test_the_code_for_minus_128_does_not_exist() -> None:
    with pytest.raises(FormatError, match="8 bits use 0 to 254"):
        Quantised(8).decode(GRID, bytes.fromhex("01000100") + bytes([0, 0, 255, 0, 0, 0]), 0)
    with pytest.raises(FormatError, match="4 bits use 0 to 14"):
        Quantised(4).decode(GRID, bytes.fromhex("01000100") + bytes([0, 0xF0, 0]), 0)


def test_a_tensor_of_zeros_has_one_form() -> None:
    data = payload(Quantised(8), 0, 0, 0, 0, 1, 2)
    assert data[:2] == b"\0\0" and data[4:8] == bytes([127] * 4)
    with pytest.raises(FormatError, match="tensor a of a compressed update has a step of zero"):
        Quantised(8).decode(GRID, data[:4] + bytes([127, 127, 127, 128]) + data[8:], 0)
    with pytest.raises(FormatError, match="step of zero"):
        Quantised(1).decode(GRID, bytes(4) + b"\1", 0)


def test_unknown_widths_and_decays_are_refused() -> None:
    with pytest.raises(FormatError, match="8, 4, 2 or 1 bits, not 3"):
        Quantised(3)  # type: ignore[arg-type]
    for decay in (-0.1, 1.1, float("nan")):
        with pytest.raises(FormatError, match="decay"):
            Quantised(8, decay=decay)


def test_a_layout_too_large_to_rotate_is_refused() -> None:
    large = Layout((Tensor("a", (513,)), Tensor("b", (MAX_SIZE - 513,))))
    Quantised(8).check(large)
    with pytest.raises(FormatError, match="without rotation"):
        Quantised(8, rotated=True).check(large)
