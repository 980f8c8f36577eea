from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.topology.declaration import Gossip
from hansa.learning.topology.fixed import LARGEST
from hansa.learning.topology.gossip import Gossiper, closed, consensus, halve, pairs

NAMES = tuple(f"n{place:02d}" for place in range(16))
RANDOM = np.random.Generator(np.random.PCG64(4))
MODELS = {name: RANDOM.integers(-(1 << 24), 1 << 24, 50) for name in NAMES}
STILL = np.zeros(50, np.int64)


def spread(models: dict[str, np.ndarray]) -> float:
    return float(np.var(np.stack(list(models.values())).astype(np.float64), axis=0).mean())


def total(models: dict[str, np.ndarray]) -> np.ndarray:
    return np.sum(np.stack(list(models.values())), axis=0)


@given(st.integers(-LARGEST, LARGEST), st.integers(-LARGEST, LARGEST))
def test_halving_is_rounded_to_the_nearest_halves_to_even_and_symmetric(a: int, b: int) -> None:
    one, two = np.array([a]), np.array([b])
    assert int(halve(one, two)[0]) == int(halve(two, one)[0]) == round(Fraction(a + b, 2))


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_every_node_meets_once_a_step_and_others_in_the_next(count: int) -> None:
    for step in range(20):
        matching = pairs(NAMES[:count], 9, step)
        met = [name for pair in matching for name in set(pair)]
        assert sorted(met) == list(NAMES[:count])
        assert sum(a == b for a, b in matching) == count % 2
        assert pairs(NAMES[:count][::-1], 9, step) == matching
    if count > 2:
        assert len({pairs(NAMES[:count], 9, step) for step in range(20)}) > 5


def test_partners_are_uniform() -> None:
    met = [next(b if a == "n00" else a for a, b in pairs(NAMES, 1, step) if "n00" in (a, b)) for step in range(1500)]
    counts = [met.count(name) for name in NAMES[1:]]
    assert sum((count - 100) ** 2 / 100 for count in counts) < 36.1  # chi-squared, 14 degrees of freedom, 0.1 %


def test_the_mixing_matrix_is_doubly_stochastic() -> None:
    unit = 1 << 20
    for count in (15, 16):
        matching = pairs(NAMES[:count], 3, 1)
        columns = []
        for source in NAMES[:count]:
            held = {name: np.array([unit if name == source else 0]) for name in NAMES[:count]}
            columns.append([int(each[0]) for each in closed(held, 3, 0, 1).values()])
        matrix = np.array(columns).T
        assert (matrix.sum(0) == unit).all() and (matrix.sum(1) == unit).all() and (matrix == matrix.T).all()
        assert np.count_nonzero(matrix) == sum(4 if a != b else 1 for a, b in matching)


def test_meetings_keep_the_mean_to_the_rounding_unit_and_halve_the_variance() -> None:
    models, variances = dict(MODELS), [spread(MODELS)]
    for step in range(8):
        after = closed(models, 5, step, 1)
        # Each pair's sum moves by one unit at most.
        assert np.abs(total(after) - total(models)).max() <= len(NAMES) // 2
        models = after
        variances.append(spread(models))
    ratios = [after / before for before, after in zip(variances, variances[1:], strict=False)]
    assert max(ratios) < 0.85 and 0.35 < float(np.mean(ratios)) < 0.6
    assert closed(MODELS, 5, 0, 8).keys() == models.keys()
    assert all((closed(MODELS, 5, 0, 8)[name] == models[name]).all() for name in NAMES)
    assert np.abs(consensus(models.values()) - consensus(MODELS.values())).max() <= 4


def test_rounding_has_no_drift() -> None:
    odd = {name: np.array([place % 2]) * np.ones(4000, np.int64) + RANDOM.integers(-50, 50, 4000) * 2 for place, name in enumerate(NAMES)}
    before = total(odd).mean()
    assert abs(total(closed(odd, 2, 0, 6)).mean() - before) < 0.5


def step(declared: Gossip, nodes: dict[str, Gossiper], changes: dict[str, np.ndarray], number: int) -> dict[str, Gossiper]:
    after = {}
    for pair in pairs(nodes, 7, number):
        for name, other in (pair, pair[::-1]):
            after[name] = nodes[name].meet(declared, changes[name], nodes[other].model, changes[other])
    return after


def test_without_momentum_partners_hold_equal_bits_the_mean_of_what_they_trained() -> None:
    changes = {name: RANDOM.integers(-9999, 9999, 50) for name in NAMES}
    nodes = step(Gossip(), {name: Gossiper.starting(model) for name, model in MODELS.items()}, changes, 1)
    for a, b in pairs(NAMES, 7, 1):
        assert nodes[a].model.tobytes() == nodes[b].model.tobytes()
        mean = (MODELS[a] + changes[a] + MODELS[b] + changes[b]) / 2
        assert np.abs(nodes[a].model - mean).max() <= 1


def test_the_step_is_the_formula_in_plain_arithmetic() -> None:
    declared, node = Gossip(momentum=0.3, rate=0.7, pull=0.9), Gossiper(MODELS["n00"], RANDOM.standard_normal(50) * 1000)
    change, other, others = RANDOM.integers(-9999, 9999, 50), MODELS["n01"], RANDOM.integers(-9999, 9999, 50)
    after = node.meet(declared, change, other, others)
    for place in range(50):
        x, y = int(node.model[place]), int(other[place])
        direction = 0.3 * float(node.direction[place])
        direction += 0.9 * float(round(Fraction(x + y, 2)) - x)
        direction += 0.7 * float(round(Fraction(int(change[place]) + int(others[place]), 2)))
        assert after.direction[place] == direction and int(after.model[place]) == x + round(direction)


@pytest.mark.parametrize("declared", [Gossip(), Gossip(momentum=0.3, rate=0.7, pull=0.9), Gossip(momentum=0.5, pull=0.8)])
def test_the_mean_model_moves_as_without_the_pull_and_nodes_come_together(declared: Gossip) -> None:
    nodes = {name: Gossiper.starting(model) for name, model in MODELS.items()}
    mean, direction = total(MODELS) / 16, np.zeros(50)
    for number in range(30):
        changes = {name: RANDOM.integers(-99, 99, 50) if number < 10 else STILL for name in NAMES}
        nodes = step(declared, nodes, changes, number)
        direction = declared.momentum * direction + declared.rate * total(changes) / 16
        mean = mean + direction
    models = {name: node.model for name, node in nodes.items()}
    assert np.abs(total(models) / 16 - mean).max() <= 30
    assert spread(models) < 1e-4 * spread(MODELS)


def test_a_node_without_partner_takes_its_own_change() -> None:
    change = RANDOM.integers(-9999, 9999, 50)
    alone = Gossiper.starting(MODELS["n00"]).meet(Gossip(), change, MODELS["n00"], change)
    assert (alone.model == MODELS["n00"] + change).all()


def test_vectors_that_do_not_fit_are_refused() -> None:
    node = Gossiper.starting(MODELS["n00"])
    with pytest.raises(ProtocolError, match="different lengths"):
        node.meet(Gossip(), STILL, MODELS["n01"][:-1], STILL)
    with pytest.raises(FormatError, match="beyond"):
        node.meet(Gossip(), STILL, MODELS["n01"] + (1 << 40), STILL)
    with pytest.raises(FormatError, match="the averaged model"):
        Gossiper.starting(STILL + LARGEST).meet(Gossip(), STILL + 5, STILL + LARGEST, STILL + 5)
    with pytest.raises(ProtocolError, match="no model"):
        consensus([])
