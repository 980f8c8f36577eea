import numpy as np
import pytest

from hansa.core.errors import FormatError
from hansa.learning.compression.compression import Grid
from hansa.learning.compression.topk import TopK
from hansa.model.aggregate import Aggregate
from hansa.model.layout import Layout, Tensor
from hansa.model.update import Update

LAYOUT = Layout((Tensor("a", (6,)), Tensor("b", (4,))))
GRID = Grid(LAYOUT, (1.0, 0.5))
TOP = TopK(keep=2, chunk=4)


def test_a_small_update_by_hand() -> None:
    value = np.array([1, -3, 3, 0, 5, 0, 0.5, -2, -1, 0.5], np.float32)
    data, (error,), _ = TOP.encode(GRID, value, TOP.initial(LAYOUT), 0)
    # Kept: 1 and 2 of the first chunk, 0 and 3 of the second, 0 of the last, which has only half a chunk; 2 bits each.
    assert data == bytes([0b11_00_10_01, 0b00]) + np.array([-3, 3, 5, -4, -2], "<i2").tobytes()
    assert TOP.decode(GRID, data, 0).tolist() == [0, -3, 3, 0, 5, 0, 0, -4, -2, 0]
    assert error.tolist() == [1, 0, 0, 0, 0, 0, 0.5, 0, 0, 0.5]


def test_what_waited_is_sent_when_it_has_grown() -> None:
    once, state = TopK(keep=1, chunk=10), TopK(keep=1, chunk=10).initial(LAYOUT)
    value = np.array([3, 2] + [0] * 8, np.float32)
    sent = []
    for _ in range(4):
        data, state, _ = once.encode(GRID, value, state, 0)
        sent.append(once.decode(GRID, data, 0).tolist()[:2])
    assert sent == [[3, 0], [0, 4], [6, 0], [0, 4]]


def test_decay_forgets_what_waits() -> None:
    half = TopK(keep=1, chunk=10, decay=0.5)
    value = np.array([3, 2] + [0] * 8, np.float32)
    _, state, _ = half.encode(GRID, value, half.initial(LAYOUT), 0)
    _, (error,), _ = half.encode(GRID, np.zeros(10, np.float32), state, 0)
    assert state[0].tolist()[:2] == [0, 2] and error.tolist()[:2] == [0, 0]
    assert half.decode(GRID, half.encode(GRID, np.zeros(10, np.float32), state, 0)[0], 0).tolist()[:2] == [0, 1]


def test_the_aggregate_is_the_sum_over_all_sites_not_over_selectors() -> None:
    lone, others = np.zeros(10, np.float32), np.zeros(10, np.float32)
    lone[0], others[1] = 8, 8
    alone = TopK(keep=1, chunk=10)
    decoded = [alone.decode(GRID, alone.encode(GRID, value, alone.initial(LAYOUT), 0)[0], 0) for value in (lone, others, others, others)]
    aggregate = Aggregate.of(Update(LAYOUT, GRID.scales, values, 1) for values in decoded)
    # The site that alone chose coordinate 0 moves it by a quarter of what it sent.
    assert (alone.restore(GRID, aggregate.values, 0) / aggregate.weight).tolist()[:3] == [2, 6, 0]


def test_more_than_a_chunk_cannot_be_kept() -> None:
    with pytest.raises(FormatError, match="5 coordinates of a chunk of 4 cannot be kept"):
        TopK(keep=5, chunk=4)
    with pytest.raises(FormatError, match="decay"):
        TopK(decay=2.0)
