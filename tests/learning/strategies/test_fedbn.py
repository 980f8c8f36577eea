import numpy as np
import pytest
from msgspec.structs import replace

from hansa.core.errors import FormatError
from hansa.learning.site import contribute
from hansa.learning.strategies import FedBN
from hansa.learning.strategy import Mean, Vectors
from hansa.model.architectures import Objective
from hansa.model.layout import Layout, Tensor
from tests.learning.strategies.quadratic import BASE, LAYOUT, MODEL, PLACED, WHOLE, gradient, mean

STRATEGY = FedBN(WHOLE, home=("linear.bias",))


def test_home_tensors_never_travel() -> None:
    layout = Layout((Tensor("conv", (2, 2)), Tensor("norm1.bias", (2,)), Tensor("norm1.weight", (2,)), Tensor("out", (3,))))
    strategy = FedBN(WHOLE, home=("norm", "other"))
    assert [tensor.name for tensor in strategy.travels(layout).tensors] == ["conv", "out"]
    assert strategy.bounds(layout, 0.5) == (0.5, 0.5)
    made = contribute(STRATEGY, MODEL, Objective.SQUARED, BASE, (), (), PLACED[0], 1)
    assert made.sent.size == 2 and [vector.size for vector in made.kept] == [1]


def test_rounds_by_hand() -> None:
    """Each site's weights are (own bias, shared slopes); only the slopes are averaged, the server's bias never moves."""
    base, kept = BASE, [STRATEGY.fresh(LAYOUT)] * 2
    shared, own = BASE.vector[1:].astype(np.float64), [float(BASE.vector[0])] * 2
    for _ in range(3):
        sent, changes = [], []
        for site in (0, 1):
            made = contribute(STRATEGY, MODEL, Objective.SQUARED, base, (), kept[site], PLACED[site], 1)
            kept[site] = made.kept
            sent.append(made.sent)
            weights = np.array([own[site], *shared])
            for _ in range(3):
                weights = weights - 0.05 * gradient(site, weights)
            own[site] = weights[0]
            changes.append(weights[1:] - shared)
        base, _ = STRATEGY.step(base, mean(sent), ())
        shared = shared + np.mean(changes, axis=0)
        assert base.vector[0].tobytes() == BASE.vector[0].tobytes() and base.vector[1:] == pytest.approx(shared, abs=1e-6)
        assert [float(vectors[0][0]) for vectors in kept] == pytest.approx(own, abs=1e-6)
        assert STRATEGY.start(base, (), kept[1]).weights.tolist() == [kept[1][0][0], *base.vector[1:]]


def test_r12_every_bit_is_that_of_plain_arithmetic() -> None:
    values = np.array([0.1, -0.2])
    new, _ = STRATEGY.step(BASE, Mean(values, 1, 1), ())
    for place in (1, 2):
        assert new.vector[place].tobytes() == np.float32(float(BASE.vector[place]) + float(values[place - 1])).tobytes()


@pytest.mark.parametrize("kept", [(np.zeros(2, np.float32),), (np.zeros(1, np.float32),) * 2, (np.full(1, np.inf, np.float32),)])
def test_kept_tensors_of_another_model_are_refused(kept: Vectors) -> None:
    with pytest.raises(FormatError, match="own tensors"):
        contribute(STRATEGY, MODEL, Objective.SQUARED, BASE, (), kept, PLACED[0], 1)


@pytest.mark.parametrize("home", [("norm",), ("lin",), ("linear.bias", "linear.weight")])
def test_some_tensors_stay_and_some_travel(home: tuple[str, ...]) -> None:
    with pytest.raises(FormatError, match="stay at home"):
        FedBN(WHOLE, home).travels(LAYOUT)


@pytest.mark.parametrize("home", [(), ("",), ("a",) * 257])
def test_values_out_of_bounds_are_refused(home: tuple[str, ...]) -> None:
    with pytest.raises(FormatError):
        replace(STRATEGY, home=home)
