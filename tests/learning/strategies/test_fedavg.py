import itertools

import numpy as np
import pytest

from hansa.core.encoding import decode, encode
from hansa.core.errors import FormatError
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategy import LocalTraining, mean_of
from hansa.model.aggregate import Aggregate
from hansa.model.layout import Layout, Tensor
from hansa.model.state import ModelState
from hansa.model.update import Update, quantise

LAYOUT = Layout((Tensor("a", (40,)), Tensor("b", (24,))))
STRATEGY = FedAvg(LocalTraining(rate=0.1, batch=4, steps=1))
RANDOM = np.random.Generator(np.random.PCG64(5))
BASE = ModelState(LAYOUT, RANDOM.standard_normal(64).astype(np.float32))
DELTAS = [RANDOM.standard_normal(64).astype(np.float32) for _ in range(4)]
WEIGHTS = [199, 172, 30, 85]
SCALES = (7.0 / 32767, 9.0 / 32767)
UPDATES = [Update(LAYOUT, SCALES, quantise(LAYOUT, delta, SCALES)[0], weight) for delta, weight in zip(DELTAS, WEIGHTS, strict=True)]


def test_the_step_is_the_weighted_mean_within_the_rounding() -> None:
    new, state = STRATEGY.step(BASE, mean_of(Aggregate.of(UPDATES)), STRATEGY.init(BASE))
    mean = np.average(np.asarray(DELTAS, np.float64), axis=0, weights=WEIGHTS)
    assert np.abs(new.vector - (BASE.vector + mean)).max() <= SCALES[1] / 2 + 1e-6
    assert state == ()


def test_r12_every_bit_is_that_of_the_formula_in_plain_arithmetic() -> None:
    new, _ = STRATEGY.step(BASE, mean_of(Aggregate.of(UPDATES)), ())
    for place in range(64):
        total = sum(int(update.values[place]) * update.weight for update in UPDATES)
        expected = float(BASE.vector[place]) + float(total) * SCALES[place >= 40] / float(sum(WEIGHTS))
        assert new.vector[place].tobytes() == np.float32(expected).tobytes()


def test_r12_every_order_of_updates_gives_the_same_bits() -> None:
    results = {STRATEGY.step(BASE, mean_of(Aggregate.of(order)), ())[0].vector.tobytes() for order in itertools.permutations(UPDATES)}
    assert len(results) == 1


def test_arguments_are_not_changed() -> None:
    aggregate, before = Aggregate.of(UPDATES), BASE.vector.tobytes()
    digest = aggregate.digest()
    STRATEGY.step(BASE, mean_of(aggregate), ())
    assert BASE.vector.tobytes() == before and aggregate.digest() == digest


def test_no_permitted_step_leaves_float32() -> None:
    scales, largest = (2.0**64, 2.0**64), np.finfo(np.float32).max
    base = ModelState(LAYOUT, np.full(64, largest, np.float32))
    update = Update(LAYOUT, scales, np.full(64, 2**31 - 1, np.int32), 1)
    assert STRATEGY.step(base, mean_of(Aggregate.of([update])), ())[0] == base


def test_the_declaration_travels_as_json() -> None:
    assert decode(encode(STRATEGY), FedAvg) == STRATEGY
    with pytest.raises(FormatError):
        decode(b'{"type":"fedprox"}', FedAvg)
