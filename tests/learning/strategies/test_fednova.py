import numpy as np
import pytest
import torch
from msgspec.structs import replace

from hansa.core.errors import FormatError
from hansa.learning.optimiser import Optimiser
from hansa.learning.site import contribute
from hansa.learning.strategies import FedAvg, FedNova
from hansa.learning.strategies.fednova import effective
from hansa.learning.strategy import LocalTraining, Mean, Start
from hansa.model.architectures import Objective
from tests.learning.strategies.quadratic import BASE, LAYOUT, MODEL, PLACED, WHOLE, gradient, mean, play

STRATEGY = FedNova(WHOLE, reach=0.2)
STEPS = (2, 5)


def shares(local: LocalTraining, steps: int) -> np.ndarray:
    """The paper's a_i, section 4.1: how much each step's gradient enters the change, for momentum or for a proximal term."""
    left = np.arange(steps - 1, -1, -1)
    if local.momentum:
        return (1 - local.momentum ** (left + 1)) / (1 - local.momentum)
    return (1 - local.rate * local.proximal) ** left


def by_hand(local: LocalTraining) -> np.ndarray:
    """One round: x - rate * (sum_i p_i |a_i|) * sum_i p_i (G_i a_i) / |a_i|, p = 1/2, the gradients G_i along each site's own path."""
    start = BASE.vector.astype(np.float64)
    norms, directions = [], []
    for site, steps in enumerate(STEPS):
        weights, velocity, slopes = start.copy(), np.zeros(3), []
        for _ in range(steps):
            slopes.append(gradient(site, weights))
            velocity = local.momentum * velocity + slopes[-1] + local.proximal * (weights - start)
            weights = weights - local.rate * velocity
        a = shares(local, steps)
        assert start - local.rate * (np.asarray(slopes).T @ a) == pytest.approx(weights, abs=1e-9)
        norms.append(a.sum())
        directions.append(np.asarray(slopes).T @ a / a.sum())
    return start - local.rate * np.mean(norms) * np.mean(directions, axis=0)


@pytest.mark.parametrize("change", [{}, {"momentum": 0.9}, {"proximal": 1.5}])
def test_a_round_of_unlike_steps_by_hand(change: dict[str, float]) -> None:
    local = replace(WHOLE, **change)
    (model,) = play(replace(STRATEGY, local=local), [(0, 1)], STEPS)
    assert model == pytest.approx(by_hand(local), abs=1e-5)
    assert np.abs(model - play(FedAvg(replace(local, proximal=0.0)), [(0, 1)], STEPS)[0]).max() > 1e-3


@pytest.mark.parametrize(
    "local",
    [
        WHOLE,
        replace(WHOLE, momentum=0.9),
        replace(WHOLE, proximal=2.0),
        replace(WHOLE, decay=0.5),
        replace(WHOLE, momentum=0.8, proximal=3.0, decay=0.25),
        replace(WHOLE, rate=0.5, momentum=0.5, proximal=5.0),
    ],
)
def test_effective_steps_are_what_unit_gradients_come_to(local: LocalTraining) -> None:
    total = 0.0
    for hit in range(6):
        # From zero, so that decay pulls to the start as the proximal term does.
        weights = torch.zeros(1, dtype=torch.float64)
        optimiser = Optimiser(local, [weights], Start(np.zeros(1, np.float32)))
        for step in range(6):
            optimiser.step([torch.tensor([float(step == hit)], dtype=torch.float64)])
        total += abs(float(weights)) / local.rate
    assert effective(local, 6) == pytest.approx(total, rel=1e-9)


def test_effective_steps_in_closed_form() -> None:
    assert effective(WHOLE, 7) == 7.0
    assert effective(replace(WHOLE, momentum=0.5), 3) == pytest.approx(1.75 + 1.5 + 1)
    assert effective(replace(WHOLE, proximal=2.0), 3) == pytest.approx((1 - 0.9**3) / 0.1)


def test_with_equal_steps_it_is_federated_averaging() -> None:
    ours, plain = (play(strategy, [(0, 1)] * 3) for strategy in (STRATEGY, FedAvg(WHOLE)))
    for model, expected in zip(ours, plain, strict=True):
        assert model == pytest.approx(expected, abs=1e-6)


def test_sites_of_unlike_rates_count_by_the_way_they_can_go() -> None:
    """A device that trains at its own pace brings its own rate: the direction is per unit of rate times steps."""
    ends, reaches, sent = [], [], []
    for site, rate, steps in ((0, 0.05, 3), (1, 0.02, 5)):
        own = replace(STRATEGY, local=replace(WHOLE, rate=rate, steps=steps))
        sent.append(contribute(own, MODEL, Objective.SQUARED, BASE, (), (), PLACED[site], 1).sent)
        weights = BASE.vector.astype(np.float64)
        for _ in range(steps):
            weights = weights - rate * gradient(site, weights)
        ends.append((weights - BASE.vector) / (rate * steps))
        reaches.append(rate * steps)
    new, _ = STRATEGY.step(BASE, mean(sent), ())
    assert new.vector == pytest.approx(BASE.vector + np.mean(reaches) * np.mean(ends, axis=0), abs=1e-5)


def test_with_one_client_it_is_plain_sgd() -> None:
    for strategy in (STRATEGY, replace(STRATEGY, reach=3.0)):
        weights = BASE.vector.astype(np.float64)
        for model in play(strategy, [(0,)] * 4):
            for _ in range(3):
                weights = weights - 0.05 * gradient(0, weights)
            assert model == pytest.approx(weights, abs=1e-5)


def test_r12_every_bit_is_that_of_plain_arithmetic() -> None:
    values = np.array([0.1, -0.2, 0.3, 1.7])
    new, _ = STRATEGY.step(BASE, Mean(values, 3, 3), ())
    for place in range(3):
        assert new.vector[place].tobytes() == np.float32(float(BASE.vector[place]) + float(values[place]) * 1.7).tobytes()


def test_steps_travel_last_with_a_bound_of_their_own() -> None:
    assert [tensor.name for tensor in STRATEGY.travels(LAYOUT).tensors] == ["linear.bias", "linear.weight", "~steps"]
    assert STRATEGY.bounds(LAYOUT, 0.5) == (0.5, 0.5, 16.0)
    assert contribute(STRATEGY, MODEL, Objective.SQUARED, BASE, (), (), PLACED[0], 1).sent[-1] == np.float32(3 * 0.05 / 0.2)


def test_a_site_that_reaches_too_far_is_told() -> None:
    with pytest.raises(FormatError, match="typical reach"):
        contribute(replace(STRATEGY, reach=0.001), MODEL, Objective.SQUARED, BASE, (), (), PLACED[0], 1)


@pytest.mark.parametrize(
    "change",
    [{"reach": 0.0}, {"most": 0.5}, {"local": replace(WHOLE, optimiser="adam")}, {"local": replace(WHOLE, warmup=1)}],
)
def test_values_out_of_bounds_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        replace(STRATEGY, **change)
