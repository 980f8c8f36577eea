import numpy as np
import pytest

from hansa.learning.robust.network import network


def run(values: np.ndarray, ranks: range) -> np.ndarray:
    wires = list(values)
    for i, j, low, high in network(len(values), ranks):
        smaller, larger = np.minimum(wires[i], wires[j]), np.maximum(wires[i], wires[j])
        # What the network says is not needed is spoilt, so that a wrong claim shows.
        wires[i] = smaller if low else np.full_like(smaller, 7)
        wires[j] = larger if high else np.full_like(larger, 7)
    return np.stack([wires[rank] for rank in ranks])


@pytest.mark.parametrize("wires", range(1, 13))
def test_zeros_and_ones_are_sorted_whatever_their_order_so_everything_is(wires: int) -> None:
    columns = (np.arange(1 << wires) >> np.arange(wires)[:, None]) & 1
    ordered = np.sort(columns, axis=0)
    for start in range(wires):
        for stop in range(start + 1, wires + 1):
            assert (run(columns, range(start, stop)) == ordered[start:stop]).all()


@pytest.mark.parametrize("wires", [20, 33, 50, 64, 100])
def test_larger_networks_sort_random_columns(wires: int) -> None:
    columns = np.random.default_rng(wires).integers(-20, 20, (wires, 500))
    assert (run(columns, range(wires)) == np.sort(columns, axis=0)).all()
    middle = range((wires - 1) // 2, wires // 2 + 1)
    assert (run(columns, middle) == np.sort(columns, axis=0)[middle.start : middle.stop]).all()


@pytest.mark.parametrize(("wires", "ranks", "count"), [(20, range(9, 11), 84), (20, range(4, 16), 101), (50, range(24, 26), 330)])
def test_comparisons_that_nothing_depends_on_are_left_out(wires: int, ranks: range, count: int) -> None:
    assert len(network(wires, ranks)) == count
