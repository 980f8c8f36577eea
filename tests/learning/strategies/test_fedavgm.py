import numpy as np
import pytest
import torch
from msgspec.structs import replace

from hansa.core.errors import FormatError
from hansa.learning.strategies import FedAvg, FedAvgM
from hansa.model.state import ModelState
from tests.learning.strategies.quadratic import BASE, LAYOUT, WHOLE, mean, play

CHANGES = [np.array([1.0, -2.0, 0.5]), np.array([0.5, 0.25, -4.0]), np.array([-1.0, 0.0, 0.125])]


def test_two_steps_by_hand() -> None:
    strategy = FedAvgM(WHOLE, rate=0.5, momentum=0.5)
    base = ModelState(LAYOUT, np.array([10, 20, 30], np.float32))
    first, state = strategy.step(base, mean(CHANGES[:1]), strategy.init(base))
    # v = (1, -2, 0.5); base + v / 2.
    assert first.vector.tolist() == [10.5, 19.0, 30.25] and state[0].tolist() == [1.0, -2.0, 0.5]
    second, state = strategy.step(first, mean(CHANGES[1:2]), state)
    # v = (0.5 + 0.5, -1 + 0.25, 0.25 - 4) = (1, -0.75, -3.75).
    assert state[0].tolist() == [1.0, -0.75, -3.75] and second.vector.tolist() == [11.0, 18.625, 28.375]


def test_it_is_torchs_sgd_with_momentum_along_minus_the_mean() -> None:
    strategy, base = FedAvgM(WHOLE, rate=0.3, momentum=0.9), BASE
    state = strategy.init(base)
    weights = torch.nn.Parameter(torch.tensor(base.vector, dtype=torch.float64))
    other = torch.optim.SGD([weights], lr=0.3, momentum=0.9)
    for change in CHANGES:
        base, state = strategy.step(base, mean([change]), state)
        weights.grad = -torch.tensor(change)
        other.step()
    assert base.vector == pytest.approx(weights.detach().numpy(), abs=1e-6)


def test_r12_every_bit_is_that_of_plain_arithmetic() -> None:
    strategy, base = FedAvgM(WHOLE, rate=0.3, momentum=0.9), BASE
    state, plain = strategy.init(base), [(float(value), 0.0) for value in base.vector]
    for change in CHANGES:
        base, state = strategy.step(base, mean([change]), state)
        for place, (weight, velocity) in enumerate(plain):
            velocity = velocity * 0.9 + float(change[place])
            plain[place] = float(np.float32(weight + velocity * 0.3)), velocity
        assert [(float(weight), float(velocity)) for weight, velocity in zip(base.vector, state[0], strict=True)] == plain


def test_without_momentum_it_is_federated_averaging() -> None:
    ours, plain = (play(strategy, [(0, 1)] * 3) for strategy in (FedAvgM(WHOLE, momentum=0.0), FedAvg(WHOLE)))
    assert [model.tobytes() for model in ours] == [model.tobytes() for model in plain]


@pytest.mark.parametrize("change", [{"rate": 0.0}, {"rate": float("nan")}, {"momentum": 1.0}, {"momentum": -0.1}])
def test_values_out_of_bounds_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(FormatError):
        replace(FedAvgM(WHOLE), **change)
