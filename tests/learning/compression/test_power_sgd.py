import numpy as np
import pytest

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.compression.compression import Grid
from hansa.learning.compression.power_sgd import MAX_SHIFT, PowerSgd
from hansa.model.layout import Layout, Tensor

LAYOUT = Layout((Tensor("a", (30, 20)), Tensor("b", (9,)), Tensor("c", (8, 3, 5))))
GRID = Grid(LAYOUT, (2.0**-13, 2.0**-13, 2.0**-13))


def normal(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)


def flat(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return np.concatenate([a.ravel(), b.ravel(), c.ravel()]).astype(np.float32)


def test_a_matrix_of_the_rank_comes_back_to_the_rounding_of_its_factors() -> None:
    value = flat(normal(30, 2) @ normal(2, 20, seed=2) * 0.1, normal(9, seed=3), normal(8, 2) @ normal(2, 15, seed=4) * 0.01)
    two = PowerSgd(rank=2)
    _, (error, _), _ = two.encode(GRID, value, two.initial(LAYOUT), 0)
    assert np.abs(error).max() < 4 * 2.0**-13


def test_the_warm_start_finds_the_best_directions() -> None:
    value = flat(normal(30, 20) * 0.1, np.zeros(9), np.zeros(120))
    matrix = value[:600].reshape(30, 20).astype(float)
    left, values, right = np.linalg.svd(matrix)
    best = float(np.square(values[2:]).sum())
    two = PowerSgd(rank=2, decay=0.0)
    state, errors = two.initial(LAYOUT), []
    for _ in range(25):
        data, state, _ = two.encode(GRID, value, state, 0)
        found = GRID.reals(two.decode(GRID, data, 0).astype(np.int64))[:600].reshape(30, 20)
        errors.append(float(np.square(found - matrix).sum()))
    assert errors[0] > 1.1 * best and errors[-1] < 1.005 * best


def test_the_product_is_that_of_the_integers() -> None:
    three = PowerSgd(rank=3)
    data = three.encode(GRID, flat(normal(30, 20), normal(9), normal(8, 15)), three.initial(LAYOUT), 0)[0]
    shift = int.from_bytes(data[:1], "little", signed=True)
    factors = np.frombuffer(data, "<i2", 150, 1).reshape(50, 3)
    exact = factors[:30].astype(object) @ factors[30:].T.astype(object)
    limited = [max(-32767, min(32767, round(int(x) * 2.0**-shift))) for x in exact.ravel()]
    assert three.decode(GRID, data, 0)[:600].tolist() == limited
    assert np.abs(factors[:30]).max() >= 16384 and np.abs(factors[30:]).max() >= 16384


def test_tensors_that_factors_do_not_make_smaller_travel_as_they_are() -> None:
    value = flat(normal(30, 20), normal(9, seed=2), normal(8, 15, seed=3))
    five = PowerSgd(rank=5)
    data, _, _ = five.encode(GRID, value, five.initial(LAYOUT), 0)
    assert len(data) == 1 + 2 * 5 * 50 + 2 * 9 + 1 + 2 * 5 * 23
    six = PowerSgd(rank=6, decay=0.0)
    data, _, _ = six.encode(GRID, value, six.initial(LAYOUT), 0)
    assert len(data) == 1 + 2 * 6 * 50 + 2 * 9 + 2 * 120
    assert (six.decode(GRID, data, 0)[600:] == GRID.round(value)[0][600:]).all()


def test_a_direction_that_vanished_starts_afresh() -> None:
    two = PowerSgd(rank=2, decay=0.0)
    one_direction = flat(np.outer(normal(30), normal(20, seed=2)) * 0.1, np.zeros(9), np.zeros(120))
    _, state, _ = two.encode(GRID, one_direction, two.initial(LAYOUT), 0)
    assert not state[0][40:].any()
    value = flat(normal(30, 2) @ normal(2, 20, seed=5) * 0.1, np.zeros(9), normal(8, 2) @ normal(2, 15, seed=4) * 0.1)
    data, _, _ = two.encode(GRID, value, state, 0)
    assert np.abs(GRID.reals(two.decode(GRID, data, 0).astype(np.int64)) - value).max() < 8 * 2.0**-13


def test_extreme_sizes_reach_the_grid_or_saturate() -> None:
    one = PowerSgd(rank=1, decay=0.0)
    for size in (1e-44, 1e-20, 1e20, 3e38):
        for grid in (GRID, Grid(LAYOUT, (2.0**64,) * 3), Grid(LAYOUT, (2.0**-64,) * 3, 32)):
            value = flat(np.full((30, 20), size), np.zeros(9), np.zeros(120))
            data, _, _ = one.encode(grid, value, one.initial(LAYOUT), 0)
            found = one.decode(grid, data, 0)[:600]
            expected = np.clip(np.rint(value[0].astype(float) / grid.scales[0]), -grid.largest, grid.largest)
            assert np.abs(found - expected).max() <= max(1, 2e-4 * expected)


def test_shifts_and_factors_beyond_their_bounds_are_refused() -> None:
    two = PowerSgd(rank=2)
    data = bytearray(two.encode(GRID, flat(normal(30, 20), normal(9), normal(8, 15)), two.initial(LAYOUT), 0)[0])
    for shift in (-MAX_SHIFT - 1, MAX_SHIFT + 1, -128, 127):
        with pytest.raises(FormatError, match="the shift"):
            two.decode(GRID, shift.to_bytes(1, "little", signed=True) + data[1:], 0)
    data[1:3] = b"\x00\x80"
    with pytest.raises(FormatError, match="a factor of a compressed update holds -32768"):
        two.decode(GRID, bytes(data), 0)


def test_a_layout_without_a_matrix_to_shrink_is_refused() -> None:
    PowerSgd(rank=4).check(LAYOUT)
    with pytest.raises(FormatError, match="use top-k or a lower rank"):
        PowerSgd(rank=16).check(LAYOUT)
    with pytest.raises(FormatError, match="factors of rank 1"):
        PowerSgd(rank=1).check(Layout((Tensor("a", (100,)), Tensor("b", ()))))


def test_a_state_of_another_rank_is_refused() -> None:
    value = flat(normal(30, 20), normal(9), normal(8, 15))
    with pytest.raises(ProtocolError, match="PowerSGD of this rank"):
        PowerSgd(rank=2).encode(GRID, value, PowerSgd(rank=3).initial(LAYOUT), 0)


@pytest.mark.parametrize("rank", [0, 65])
def test_unusual_ranks_are_refused(rank: int) -> None:
    with pytest.raises(FormatError, match="rank"):
        PowerSgd(rank=rank)
