"""Laws of every stage: pure, deterministic, refusing malformed values with the tree's error, and composable into one."""

import numpy as np
import pytest

from hansa.core.errors import FormatError
from hansa.learning.compression.compression import Grid
from hansa.learning.compression.feedback import Coded
from hansa.learning.compression.quantised import Quantised
from hansa.learning.compression.randomk import RandomK
from hansa.learning.compression.sparse_loco import SparseLoco
from hansa.learning.compression.topk import TopK
from hansa.model.layout import Layout, Tensor
from hansa.model.stages import Clip, ErrorFeedback, Quantise, Stage, State, Value, chain

LAYOUT = Layout((Tensor("a", (3, 2)), Tensor("b", (4,))))
SCALES = (2.0**-8, 2.0**-9)
GRID = Grid(LAYOUT, SCALES)
VALUE = np.random.Generator(np.random.PCG64(3)).standard_normal(10).astype(np.float32)

STAGES: dict[str, Stage] = {
    "clip": Clip(0.5),
    "loose clip": Clip(1e6),
    "quantise": Quantise(LAYOUT, SCALES),
    "quantise 32": Quantise(LAYOUT, SCALES, 32),
    "chain": chain(Clip(0.5), Quantise(LAYOUT, SCALES)),
    "nested chain": chain(chain(Clip(2.0), Clip(0.5)), chain(Quantise(LAYOUT, SCALES))),
    "empty chain, then a stage": chain(chain(), Clip(1.0)),
    "error feedback": ErrorFeedback(Quantise(LAYOUT, (0.5, 0.25)), 10, 0.9),
    "clip, error feedback": chain(Clip(0.5), ErrorFeedback(chain(Quantise(LAYOUT, SCALES)), 10)),
    "top-k": ErrorFeedback(Coded(TopK(keep=2, chunk=6), GRID, 1), 10),
    "random-k": Coded(RandomK(keep=2, chunk=6), GRID, 1),
    "quantised": Coded(Quantised(2), GRID, 1),
    "clip, rotated": chain(Clip(0.5), ErrorFeedback(Coded(Quantised(4, rotated=True), GRID, 1), 10)),
    "sparse loco": chain(ErrorFeedback(Coded(SparseLoco(keep=2, chunk=6), GRID, 1), 10, 0.95)),
}


@pytest.fixture(params=STAGES, ids=list(STAGES))
def stage(request: pytest.FixtureRequest) -> Stage:
    return STAGES[request.param]


def same(a: Value, b: Value) -> bool:
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


def same_state(a: State, b: State) -> bool:
    """Tuples, of tuples or of vectors, equal to the bit."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(same_state(x, y) for x, y in zip(a, b, strict=True))
    return same(a, b)


def test_encoding_and_decoding_are_deterministic(stage: Stage) -> None:
    first, state, measured = stage.encode(VALUE, stage.initial())
    again, state_again, measured_again = stage.encode(VALUE, stage.initial())
    assert same(first, again) and same_state(state, state_again) and measured == measured_again
    assert same(stage.decode(first, state)[0], stage.decode(again, state)[0])


def test_arguments_are_not_changed(stage: Stage) -> None:
    value, state = VALUE.copy(), stage.initial()
    encoded, after, _ = stage.encode(value, state)
    kept = encoded.copy()
    stage.decode(encoded, after)
    assert same(value, VALUE) and same(encoded, kept) and same_state(state, stage.initial())


def test_a_chain_of_one_equals_the_stage(stage: Stage) -> None:
    alone, alone_state, alone_measured = stage.encode(VALUE, stage.initial())
    one = chain(stage)
    chained, state, measured = one.encode(VALUE, one.initial())
    assert same(alone, chained) and measured == alone_measured and same_state(state, (alone_state,))
    assert same(stage.decode(alone, alone_state)[0], one.decode(chained, state)[0])


def test_decoding_brings_back_the_shape_and_finite_numbers(stage: Stage) -> None:
    decoded = stage.decode(*stage.encode(VALUE, stage.initial())[:2])[0]
    assert decoded.shape == VALUE.shape and np.isfinite(decoded).all()


def test_measurements_are_finite_numbers(stage: Stage) -> None:
    measured = stage.encode(VALUE, stage.initial())[2]
    assert measured and all(isinstance(value, float) and np.isfinite(value) for value in measured.values())


MALFORMED = {
    "not a number": np.full(10, np.nan, np.float32),
    "infinite": np.full(10, np.inf, np.float32),
    "double precision": np.zeros(10),
    "integers": np.zeros(10, np.int16),
    "matrix": np.zeros((5, 2), np.float32),
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=list(MALFORMED))
def test_malformed_values_raise_the_trees_error(stage: Stage, value: Value) -> None:
    with pytest.raises(FormatError):
        stage.encode(value, stage.initial())
