import math

import numpy as np
import pytest
from msgspec.structs import replace

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.strategies import FedAvg, FedBuff
from hansa.learning.strategy import mean_of
from hansa.model.aggregate import Aggregate
from hansa.model.update import Update
from tests.learning.strategies.quadratic import BASE, LAYOUT, WHOLE, mean, play

STRATEGY = FedBuff(WHOLE, buffer=3, staleness=8, rate=0.5)


def test_discounts_are_integers_of_the_inverse_root() -> None:
    assert [STRATEGY.discount(staleness) for staleness in (0, 1, 2, 3, 8, 9)] == [1024, 724, 591, 512, 341, 0]
    long = replace(STRATEGY, staleness=65536)
    assert all(long.discount(s) == math.floor(1024 / math.sqrt(1 + s) + 1e-9) >= 1 for s in range(65537))
    with pytest.raises(ProtocolError, match="stale"):
        STRATEGY.discount(-1)


def test_a_buffer_by_hand() -> None:
    changes, discounts = [[3, 0, -3], [6, 3, 0], [-3, 9, 6]], [1024, 512, 724]
    updates = [Update(LAYOUT, (0.5, 0.5), np.array(c, np.int16), w) for c, w in zip(changes, discounts, strict=True)]
    new, _ = STRATEGY.step(BASE, mean_of(Aggregate.of(updates)), ())
    for place in range(3):
        total = sum(discount / 1024 * change[place] * 0.5 for change, discount in zip(changes, discounts, strict=True))
        assert new.vector[place] == pytest.approx(BASE.vector[place] + 0.5 * total / 3, rel=1e-6)


def test_fresh_changes_at_rate_one_are_federated_averaging() -> None:
    fresh = mean([np.array([0.1, 0.2, 0.3], np.float32), np.array([0.3, -0.2, 0.5], np.float32)], [1024, 1024])
    assert FedBuff(WHOLE, buffer=2).step(BASE, fresh, ())[0] == FedAvg(WHOLE).step(BASE, fresh, ())[0]


def test_r12_every_bit_is_that_of_plain_arithmetic() -> None:
    stale = mean([np.array([0.1, 0.2, 0.3]), np.array([0.3, -0.2, 0.5])], [724, 591])
    new, _ = STRATEGY.step(BASE, stale, ())
    for place in range(3):
        expected = float(BASE.vector[place]) + float(stale.values[place]) * ((724 + 591) / 2048) * 0.5
        assert new.vector[place].tobytes() == np.float32(expected).tobytes()


def test_a_site_alone_and_fresh_is_plain_sgd() -> None:
    heavy = mean([play(FedAvg(WHOLE), [(0,)])[0] - BASE.vector], [1024])
    assert FedBuff(WHOLE, buffer=1).step(BASE, heavy, ())[0].vector == pytest.approx(play(FedAvg(WHOLE), [(0,)])[0], abs=1e-7)


def test_weights_beyond_the_discounts_are_refused() -> None:
    with pytest.raises(ProtocolError, match="discount alone"):
        STRATEGY.step(BASE, mean([np.zeros(3)], [1025]), ())


@pytest.mark.parametrize("change", [{"buffer": 0}, {"staleness": -1}, {"staleness": 1 << 17}, {"rate": 0.0}])
def test_values_out_of_bounds_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(FormatError):
        replace(STRATEGY, **change)
