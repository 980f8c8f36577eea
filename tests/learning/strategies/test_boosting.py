import numpy as np
import pytest
import torch

from hansa.core.encoding import decode, encode
from hansa.core.errors import DataError, FormatError, ProtocolError
from hansa.learning.examples import Examples
from hansa.learning.local import evaluate, place
from hansa.learning.site import contribute
from hansa.learning.strategies import AnyStrategy, Boosting
from hansa.learning.strategy import Mean, mean_of
from hansa.learning.trees import grow, histogram
from hansa.model.aggregate import Aggregate
from hansa.model.architectures import Linear, Objective, Trees, initial, layout
from hansa.model.state import ModelState
from hansa.model.update import Update, quantise

TREES = Trees(3, steps=2, depth=2, bins=8)
STRATEGY = Boosting(TREES, rows=64)
RANDOM = np.random.Generator(np.random.PCG64(8))
FEATURES = RANDOM.standard_normal((90, 3)).astype(np.float32)
WHOLE = Examples(FEATURES, (FEATURES[:, 0] * FEATURES[:, 1] > 0).astype(np.int64))
SITES = [WHOLE.take(np.arange(60)), WHOLE.take(np.arange(60, 90))]
PLACED = [place(site, torch.device("cpu")) for site in SITES]
BASE = initial(TREES, 0)


def rounds(count: int) -> ModelState:
    """Levels grown over the network's own integers, 32 bits."""
    base, travels = BASE, STRATEGY.travels(BASE.layout)
    scales = tuple(bound / (2**31 - 1) for bound in STRATEGY.bounds(BASE.layout, 1.0))
    for _ in range(count):
        sent = [contribute(STRATEGY, TREES, Objective.BINARY, base, (), (), rows, 0).sent for rows in PLACED]
        updates = [Update(travels, scales, quantise(travels, each, scales, 32)[0], 1) for each in sent]
        base, _ = STRATEGY.step(base, mean_of(Aggregate.of(updates)), ())
    return base


def test_sites_grow_the_forest_that_all_rows_together_grow() -> None:
    expected = BASE.vector
    for _ in range(TREES.levels):
        expected = grow(TREES, expected, histogram(TREES, expected, WHOLE, Objective.BINARY).astype(np.float64))
    found, names = rounds(TREES.levels), {tensor.name: span for tensor, span in BASE.layout.spans()}
    assert found.vector[names["features"]].tobytes() == expected[names["features"]].tobytes()
    assert found.vector[names["bins"]].tobytes() == expected[names["bins"]].tobytes()
    assert found.vector[names["leaves"]] == pytest.approx(expected[names["leaves"]], abs=1e-6)
    whole = place(WHOLE, torch.device("cpu"))
    assert evaluate(TREES, Objective.BINARY, found, whole).loss < evaluate(TREES, Objective.BINARY, BASE, whole).loss - 0.03


def test_a_sites_summary_is_of_the_forest_it_counts_for() -> None:
    made = contribute(STRATEGY, TREES, Objective.BINARY, BASE, (), (), PLACED[1], 0)
    assert made.sent.tobytes() == histogram(TREES, BASE.vector, SITES[1], Objective.BINARY).tobytes() and made.kept == ()
    assert (made.summary.steps, made.summary.rows) == (1, 30)
    assert made.summary.loss == pytest.approx(evaluate(TREES, Objective.BINARY, BASE, PLACED[1]).loss)
    assert made.summary.norm == pytest.approx(np.linalg.norm(made.sent))


def test_histograms_travel_within_the_bounds_of_a_sites_rows() -> None:
    assert STRATEGY.travels(BASE.layout).size == TREES.histogram and STRATEGY.bounds(BASE.layout, 1.0) == (64.0, 64.0)
    assert np.abs(contribute(STRATEGY, TREES, Objective.BINARY, BASE, (), (), PLACED[0], 0).sent).max() <= 64
    assert decode(encode(STRATEGY), AnyStrategy) == STRATEGY  # type: ignore[arg-type]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="at most 50"):
        contribute(Boosting(TREES, rows=50), TREES, Objective.BINARY, BASE, (), (), PLACED[0], 0)
    with pytest.raises(FormatError, match="same trees"):
        STRATEGY.travels(layout(Linear(3)))
    with pytest.raises(FormatError, match="same trees"):
        STRATEGY.step(initial(Linear(3), 0), Mean(np.zeros(TREES.histogram), 2, 2), ())
    with pytest.raises(ProtocolError, match="weight is 1"):
        STRATEGY.step(BASE, Mean(np.zeros(TREES.histogram), 90, 2), ())
    for call in (lambda: STRATEGY.local, lambda: STRATEGY.start(BASE, (), ())):
        with pytest.raises(ProtocolError, match="trains no weights"):
            call()
    with pytest.raises(FormatError):
        Boosting(TREES, rows=0)
