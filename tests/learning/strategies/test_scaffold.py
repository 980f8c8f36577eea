import numpy as np
import pytest
from msgspec.structs import replace

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.site import contribute
from hansa.learning.strategies import FedAvg, Scaffold
from hansa.model.architectures import Objective
from hansa.model.layout import Layout, Tensor
from tests.learning.strategies.quadratic import BASE, LAYOUT, MODEL, PLACED, WHOLE, gradient, mean, play

STRATEGY = Scaffold(WHOLE, clients=2, rate=0.8, control=100.0)


def by_hand(cohorts: list[tuple[int, ...]]) -> list[np.ndarray]:
    """The paper's algorithm 1 with option II, over two sites of equal weight, three local steps of rate 0.05."""
    x, c, own, models = BASE.vector.astype(np.float64), np.zeros(3), [np.zeros(3), np.zeros(3)], []
    for cohort in cohorts:
        changes, differences = [], []
        for i in cohort:
            y = x.copy()
            for _ in range(3):
                y = y - 0.05 * (gradient(i, y) - own[i] + c)
            renewed = own[i] - c + (x - y) / (3 * 0.05)
            changes.append(y - x)
            differences.append(renewed - own[i])
            own[i] = renewed
        x = x + 0.8 * np.mean(changes, axis=0)
        c = c + len(cohort) / 2 * np.mean(differences, axis=0)
        models.append(x)
    return models


@pytest.mark.parametrize("cohorts", [[(0, 1)] * 4, [(0, 1), (0,), (1,), (0, 1), (1,)], [(1,), (0,), (1,)]])
def test_rounds_by_hand_with_all_and_with_some_of_the_sites(cohorts: list[tuple[int, ...]]) -> None:
    for ours, expected in zip(play(STRATEGY, cohorts), by_hand(cohorts), strict=True):
        assert ours == pytest.approx(expected, abs=2e-5)


def test_the_first_round_is_federated_averaging_and_later_ones_are_not() -> None:
    ours, plain = (play(strategy, [(0, 1)] * 2) for strategy in (replace(STRATEGY, rate=1.0), FedAvg(WHOLE)))
    assert ours[0].tobytes() == plain[0].tobytes() and np.abs(ours[1] - plain[1]).max() > 1e-3


def test_with_one_client_it_is_plain_sgd() -> None:
    alone = Scaffold(WHOLE, clients=1, control=100.0)
    weights = BASE.vector.astype(np.float64)
    for model in play(alone, [(0,)] * 4):
        for _ in range(3):
            weights = weights - 0.05 * gradient(0, weights)
        assert model == pytest.approx(weights, abs=1e-5)


def test_the_servers_control_is_the_mean_of_the_sites() -> None:
    """Also when a control's change is cut to its bound: what is kept is what was sent."""
    for strategy in (STRATEGY, replace(STRATEGY, control=0.01)):
        base, state, kept = BASE, strategy.init(BASE), [(), ()]
        for _ in range(3):
            told, sent = strategy.told(LAYOUT, state), []
            for site in (0, 1):
                made = contribute(strategy, MODEL, Objective.SQUARED, base, told, kept[site], PLACED[site], 1)
                kept[site] = made.kept
                sent.append(made.sent)
            base, state = strategy.step(base, mean(sent), state)
            assert np.abs(np.asarray(sent)[:, 3:]).max() <= strategy.control
            assert state[0] == pytest.approx((kept[0][0] + kept[1][0]) / 2, abs=1e-5)


def test_r12_every_bit_is_that_of_plain_arithmetic() -> None:
    values = np.array([0.1, -0.2, 0.3, 0.7, 0.11, -0.13])
    control = np.array([1.1, -1.3, 0.017])
    average = mean([values, values, values])
    strategy = Scaffold(WHOLE, clients=7, rate=0.3)
    new, state = strategy.step(BASE, average, (control,))
    for place in range(3):
        expected = float(BASE.vector[place]) + float(average.values[place]) * 0.3
        assert new.vector[place].tobytes() == np.float32(expected).tobytes()
        assert float(state[0][place]) == float(control[place]) + float(average.values[3 + place]) * (3 / 7)


def test_controls_travel_after_the_model_with_a_bound_of_their_own() -> None:
    layout = Layout((Tensor("a", (3,)), Tensor("b", (2, 2))))
    travels = STRATEGY.travels(layout)
    assert [tensor.name for tensor in travels.tensors] == ["a", "b", "~control.a", "~control.b"] and travels.size == 14
    assert STRATEGY.bounds(layout, 0.5) == (0.5, 0.5, 100.0, 100.0)


def test_what_does_not_fit_is_refused() -> None:
    control = np.zeros(3, np.float32)
    for told, kept in (
        ((), ()),
        ((control[:2],), ()),
        ((control,), (control[:2],)),
        ((control,), (control, control)),
        ((control + np.nan,), ()),
    ):
        with pytest.raises(FormatError):
            contribute(STRATEGY, MODEL, Objective.SQUARED, BASE, told, kept, PLACED[0], 1)
    with pytest.raises(ProtocolError, match="declared for 2"):
        STRATEGY.step(BASE, mean([np.zeros(6)] * 3), STRATEGY.init(BASE))


@pytest.mark.parametrize(
    "change",
    [
        {"clients": 0},
        {"rate": 0.0},
        {"control": 0.0},
        {"local": replace(WHOLE, momentum=0.9)},
        {"local": replace(WHOLE, optimiser="adam")},
        {"local": replace(WHOLE, warmup=1)},
    ],
)
def test_values_out_of_bounds_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        replace(STRATEGY, **change)
