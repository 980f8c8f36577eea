import numpy as np
import pytest
import torch
from msgspec.structs import replace

from hansa.core.errors import FormatError
from hansa.learning.site import contribute
from hansa.learning.strategies import DiLoCo, FedAvg
from hansa.model.architectures import Objective
from hansa.model.state import ModelState
from tests.learning.strategies.quadratic import BASE, LAYOUT, MODEL, PLACED, WHOLE, gradient, mean, play

ADAMW = replace(WHOLE, rate=0.01, optimiser="adamw", decay=0.1, beta2=0.95)
CHANGES = [np.array([1.0, -2.0, 0.5]), np.array([0.5, 0.25, -4.0]), np.array([-1.0, 0.0, 0.125])]


def test_two_outer_steps_by_hand() -> None:
    strategy = DiLoCo(WHOLE, rate=0.5, momentum=0.5)
    base = ModelState(LAYOUT, np.array([10, 20, 30], np.float32))
    first, state = strategy.step(base, mean(CHANGES[:1]), strategy.init(base))
    # v = (1, -2, 0.5); base + (mean + v / 2) / 2 = base + (0.75, -1.5, 0.375).
    assert first.vector.tolist() == [10.75, 18.5, 30.375] and state[0].tolist() == [1.0, -2.0, 0.5]
    second, state = strategy.step(first, mean(CHANGES[1:2]), state)
    # v = (1, -0.75, -3.75); mean + v / 2 = (1, -0.125, -5.875).
    assert state[0].tolist() == [1.0, -0.75, -3.75] and second.vector.tolist() == [11.25, 18.4375, 27.4375]


def test_the_outer_step_is_torchs_nesterov_along_minus_the_mean() -> None:
    strategy, base = DiLoCo(ADAMW), BASE
    state, weights = strategy.init(base), torch.nn.Parameter(torch.tensor(BASE.vector, dtype=torch.float64))
    other = torch.optim.SGD([weights], lr=0.7, momentum=0.9, nesterov=True)
    for change in CHANGES:
        base, state = strategy.step(base, mean([change]), state)
        weights.grad = -torch.tensor(change)
        other.step()
    assert base.vector == pytest.approx(weights.detach().numpy(), abs=1e-5)


def test_r12_every_bit_is_that_of_plain_arithmetic() -> None:
    strategy, base = DiLoCo(ADAMW), BASE
    state, plain = strategy.init(base), [(float(value), 0.0) for value in base.vector]
    for change in CHANGES:
        base, state = strategy.step(base, mean([change]), state)
        for place, (weight, velocity) in enumerate(plain):
            velocity = velocity * 0.9 + float(change[place])
            plain[place] = float(np.float32(weight + (float(change[place]) + velocity * 0.9) * 0.7)), velocity
        assert [(float(weight), float(velocity)) for weight, velocity in zip(base.vector, state[0], strict=True)] == plain


def test_at_rate_one_without_momentum_it_is_federated_averaging() -> None:
    ours, plain = (play(strategy, [(0, 1)] * 3) for strategy in (DiLoCo(WHOLE, rate=1.0, momentum=0.0), FedAvg(WHOLE)))
    assert [model.tobytes() for model in ours] == [model.tobytes() for model in plain]


def adamw(steps: list[int], *, reset: bool) -> np.ndarray:
    """AdamW by hand at site 0, in rounds of so many steps, with server averaging of this one site."""
    weights, first, second, count = BASE.vector.astype(np.float64), np.zeros(3), np.zeros(3), 0
    for number in steps:
        if reset:
            first, second, count = np.zeros(3), np.zeros(3), 0
        for _ in range(number):
            slope, count = gradient(0, weights), count + 1
            weights = weights * (1 - 0.01 * 0.1)
            first, second = 0.9 * first + 0.1 * slope, 0.95 * second + 0.05 * slope**2
            weights = weights - 0.01 * (first / (1 - 0.9**count)) / (np.sqrt(second / (1 - 0.95**count)) + 1e-8)
    return weights


@pytest.mark.parametrize("inner", ["reset", "carry"])
def test_the_inner_state_is_begun_anew_or_carried(inner: str) -> None:
    strategy = DiLoCo(ADAMW, rate=1.0, momentum=0.0, inner=inner)
    models = play(strategy, [(0,)] * 4)
    assert models[-1] == pytest.approx(adamw([3] * 4, reset=inner == "reset"), abs=1e-5)
    assert np.abs(adamw([3] * 4, reset=True) - adamw([3] * 4, reset=False)).max() > 5e-4


def test_one_site_that_carries_is_one_long_run() -> None:
    models = play(DiLoCo(ADAMW, rate=1.0, momentum=0.0, inner="carry"), [(0,)] * 4)
    assert models[-1] == pytest.approx(adamw([12], reset=False), abs=1e-5)


def test_moments_stay_at_the_site() -> None:
    made = contribute(DiLoCo(ADAMW, inner="carry"), MODEL, Objective.SQUARED, BASE, (), (), PLACED[0], 1)
    assert made.sent.size == 3 and [vector.size for vector in made.kept] == [3, 3, 1] and made.kept[2] == [3.0]
    assert contribute(DiLoCo(ADAMW), MODEL, Objective.SQUARED, BASE, (), (), PLACED[0], 1).kept == ()


def test_a_carried_state_of_another_model_is_refused() -> None:
    kept = (np.zeros(4, np.float32), np.zeros(4, np.float32), np.ones(1, np.float32))
    with pytest.raises(FormatError, match="carried inner state"):
        contribute(DiLoCo(ADAMW, inner="carry"), MODEL, Objective.SQUARED, BASE, (), kept, PLACED[0], 1)


@pytest.mark.parametrize("change", [{"rate": 0.0}, {"momentum": 1.0}, {"inner": "drop"}, {"inner": "carry", "local": WHOLE}])
def test_values_out_of_bounds_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        replace(DiLoCo(ADAMW), **change)
    with pytest.raises(FormatError, match="warmed up"):
        DiLoCo(replace(ADAMW, warmup=2), inner="carry")
