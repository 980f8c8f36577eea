import numpy as np
import pytest
from msgspec.structs import replace

from hansa.core.errors import FormatError
from hansa.learning.strategies import FedAvg, FedProx
from tests.learning.strategies.quadratic import BASE, WHOLE, gradient, play


def test_without_a_proximal_term_it_is_federated_averaging() -> None:
    ours, plain = (play(strategy, [(0, 1)] * 3) for strategy in (FedProx(WHOLE), FedAvg(WHOLE)))
    assert [model.tobytes() for model in ours] == [model.tobytes() for model in plain]


def test_sites_are_held_back_to_the_rounds_model_by_mu_times_the_distance() -> None:
    (model,) = play(FedProx(replace(WHOLE, proximal=2.0)), [(0, 1)])
    ends = []
    for site in (0, 1):
        start = weights = BASE.vector.astype(np.float64)
        for _ in range(3):
            weights = weights - 0.05 * (gradient(site, weights) + 2.0 * (weights - start))
        ends.append(weights)
    assert model == pytest.approx(np.mean(ends, axis=0), abs=1e-6)
    assert np.abs(model - play(FedProx(WHOLE), [(0, 1)])[0]).max() > 0.01


def test_federated_averaging_names_no_proximal_term() -> None:
    with pytest.raises(FormatError, match="fedprox"):
        FedAvg(replace(WHOLE, proximal=0.1))
