"""FedAdam, FedAdagrad and FedYogi by hand, in plain arithmetic, and against their centralised optimisers."""

import math

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from hansa.core.errors import FormatError
from hansa.learning.strategies import FedAdagrad, FedAdam, FedYogi
from hansa.learning.strategies.adaptive import Adaptive
from hansa.model.state import ModelState
from tests.learning.strategies.quadratic import BASE, LAYOUT, WHOLE, gradient, mean, play

CHANGES = [np.array([1.0, -2.0, 0.5]), np.array([0.5, 0.25, -4.0]), np.array([-1.0, 0.0, 0.125])]
ADAM = FedAdam(WHOLE, rate=0.25, beta1=0.5, beta2=0.75, tau=0.5)
YOGI = FedYogi(WHOLE, rate=0.25, beta1=0.5, beta2=0.75, tau=0.5)
ADAGRAD = FedAdagrad(WHOLE, rate=0.25, beta1=0.5, tau=0.5)

# Two steps from 0 on one coordinate with the changes 2 and then 0.5. m = 1, then 0.5 * 1 + 0.5 * 0.5 = 0.75, for all three; v_0 = 0.25.
BY_HAND = [
    # v = 0.75 * 0.25 + 0.25 * 4 = 1.1875, then 0.75 * 1.1875 + 0.25 * 0.25 = 0.953125.
    (ADAM, 1.1875, 0.953125),
    # 0.25 < 4: v = 0.25 + 0.25 * 4 = 1.25; 1.25 > 0.25: v = 1.25 - 0.25 * 0.25 = 1.1875.
    (YOGI, 1.25, 1.1875),
    # v = 0.25 + 4 = 4.25, then 4.5.
    (ADAGRAD, 4.25, 4.5),
]


@pytest.mark.parametrize(("strategy", "first", "second"), BY_HAND, ids=["adam", "yogi", "adagrad"])
def test_two_steps_by_hand(strategy: Adaptive, first: float, second: float) -> None:
    base = ModelState(LAYOUT, np.zeros(3, np.float32))
    one, state = strategy.step(base, mean([np.full(3, 2.0)]), strategy.init(base))
    assert (state[0][0], state[1][0]) == (1.0, first)
    assert one.vector[0] == pytest.approx(0.25 * 1.0 / (math.sqrt(first) + 0.5), rel=1e-7)
    two, state = strategy.step(one, mean([np.full(3, 0.5)]), state)
    assert (state[0][0], state[1][0]) == (0.75, second)
    assert two.vector[0] - one.vector[0] == pytest.approx(0.25 * 0.75 / (math.sqrt(second) + 0.5), rel=1e-6)


def plain(strategy: Adaptive, value: float, square: float) -> float:
    match strategy:
        case FedAdam():
            return value * strategy.beta2 + square * (1.0 - strategy.beta2)
        case FedYogi():
            sign = float((value > square) - (value < square))
            return value - square * (1.0 - strategy.beta2) * sign
        case _:
            return value + square


@pytest.mark.parametrize("strategy", [FedAdam(WHOLE), FedYogi(WHOLE), FedAdagrad(WHOLE), ADAM, YOGI, ADAGRAD])
def test_r12_every_bit_is_that_of_plain_arithmetic(strategy: Adaptive) -> None:
    base, state = BASE, strategy.init(BASE)
    kept = [(float(weight), 0.0, strategy.tau * strategy.tau) for weight in base.vector]
    for change in CHANGES:
        base, state = strategy.step(base, mean([change]), state)
        for place, (weight, first, second) in enumerate(kept):
            value = float(change[place])
            first = first * strategy.beta1 + value * (1.0 - strategy.beta1)
            second = plain(strategy, second, value * value)
            weight = float(np.float32(weight + first / (math.sqrt(second) + strategy.tau) * strategy.rate))
            kept[place] = weight, first, second
        found = zip(base.vector, *state, strict=True)
        assert [(float(a), float(b), float(c)) for a, b, c in found] == kept


def test_adagrad_is_torchs_along_minus_the_mean() -> None:
    strategy, base = FedAdagrad(WHOLE, rate=0.3, beta1=0.0, tau=0.01), BASE
    state, weights = strategy.init(base), torch.nn.Parameter(torch.tensor(BASE.vector, dtype=torch.float64))
    other = torch.optim.Adagrad([weights], lr=0.3, eps=0.01, initial_accumulator_value=0.01**2)
    for change in CHANGES:
        base, state = strategy.step(base, mean([change]), state)
        weights.grad = -torch.tensor(change)
        other.step()
    assert base.vector == pytest.approx(weights.detach().numpy(), abs=1e-6)


def test_with_one_site_and_one_step_of_rate_one_it_is_centralised_adam() -> None:
    one = replace(WHOLE, rate=1.0, steps=1)
    models = play(FedAdam(one, rate=0.1, beta1=0.9, beta2=0.99, tau=1e-3), [(0,)] * 5)
    weights, first, second = BASE.vector.astype(np.float64), np.zeros(3), np.full(3, 1e-6)
    for model in models:
        slope = gradient(0, weights)
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
        weights = weights - 0.1 * first / (np.sqrt(second) + 1e-3)
        assert model == pytest.approx(weights, abs=1e-5)


@pytest.mark.parametrize("change", [{"rate": 0.0}, {"beta1": 1.0}, {"beta2": 1.0}, {"tau": 0.0}, {"tau": float("inf")}, {"beta2": -0.1}])
def test_values_out_of_bounds_are_refused(change: dict[str, float]) -> None:
    for strategy in (ADAM, YOGI, ADAGRAD):
        if set(change) <= set(strategy.__struct_fields__):
            with pytest.raises(FormatError):
                replace(strategy, **change)
