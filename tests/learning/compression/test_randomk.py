import numpy as np
import pytest

from hansa.core.errors import FormatError
from hansa.learning.compression.compression import Grid
from hansa.learning.compression.randomk import RandomK
from hansa.model.layout import Layout, Tensor

LAYOUT = Layout((Tensor("a", (600,)), Tensor("b", (424,))))
GRID = Grid(LAYOUT, (1.0, 1.0))


def encoded(seed: int, site: int) -> tuple[bytes, np.ndarray]:
    compression = RandomK(keep=16, chunk=256)
    value = (1 + np.random.Generator(np.random.PCG64(site)).integers(1, 100, 1024)).astype(np.float32)
    return compression.encode(GRID, value, compression.initial(LAYOUT), seed)[0], value


def test_all_sites_of_a_round_send_the_same_coordinates_as_they_are() -> None:
    compression = RandomK(keep=16, chunk=256)
    places = []
    for site in range(3):
        data, value = encoded(4, site)
        decoded = compression.decode(GRID, data, 4)
        places.append(np.flatnonzero(decoded).tolist())
        assert (decoded[places[-1]] == value[places[-1]]).all() and len(data) == 2 * 64
    assert places[0] == places[1] == places[2] and len(places[0]) == 64


def test_another_round_draws_others() -> None:
    compression = RandomK(keep=16, chunk=256)
    first, second = (np.flatnonzero(compression.decode(GRID, encoded(seed, 1)[0], seed)).tolist() for seed in (4, 5))
    assert first != second


def test_what_is_never_drawn_waits() -> None:
    compression, state = RandomK(keep=1, chunk=4, decay=1.0), RandomK(keep=1, chunk=4).initial(LAYOUT)
    value, received = np.ones(1024, np.float32), np.zeros(1024)
    for seed in range(60):
        data, state, _ = compression.encode(GRID, value, state, seed)
        received += compression.decode(GRID, data, seed)
    assert (received + state[0] == 60).all() and received.min() > 0


def test_more_than_a_chunk_cannot_be_kept() -> None:
    with pytest.raises(FormatError, match="cannot be kept"):
        RandomK(keep=5, chunk=4)
    with pytest.raises(FormatError, match="decay"):
        RandomK(decay=-1.0)
