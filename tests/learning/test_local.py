import msgspec
import numpy as np
import pytest
import torch

from hansa.core.errors import ConfigError, DataError, FormatError
from hansa.learning.calls import TrainingSummary
from hansa.learning.examples import Examples
from hansa.learning.local import Placed, evaluate, make_deterministic, open_device, place
from hansa.learning.local import train as train_from
from hansa.learning.strategy import LocalTraining, Start
from hansa.model.architectures import Architecture, Block, Cnn, Linear, Mlp, Objective, initial
from hansa.model.state import ModelState

CPU = torch.device("cpu")
RANDOM = np.random.Generator(np.random.PCG64(11))
FEATURES = RANDOM.standard_normal((60, 5)).astype(np.float32)
BINARY = Examples(FEATURES, (FEATURES[:, 0] + FEATURES[:, 1] > 0).astype(np.int64))
NUMBERS = Examples(FEATURES, (FEATURES @ np.array([1, -2, 0, 0.5, 0], np.float32)).astype(np.float32))
THREE = Examples(FEATURES, np.argmax(FEATURES[:, :3], axis=1))
ONE_STEP = LocalTraining(rate=0.5, batch=60, steps=1)


def train(
    architecture: Architecture, objective: Objective, state: ModelState, rows: Placed, local: LocalTraining, seed: int
) -> tuple[np.ndarray, TrainingSummary]:
    """The change of the weights, as most strategies send it."""
    end, summary = train_from(architecture, objective, Start(state.vector), rows, local, seed)
    return end.weights - state.vector, summary


@pytest.fixture(autouse=True, scope="module")
def _deterministic() -> None:
    make_deterministic(1)


def logistic_gradient(state: ModelState) -> np.ndarray:
    """d loss / d (bias, weight) of the mean binary cross-entropy, by hand."""
    bias, weight = state.vector[:1].astype(np.float64), state.vector[1:].astype(np.float64)
    errors = 1 / (1 + np.exp(-(FEATURES @ weight + bias))) - BINARY.labels
    return np.concatenate([[errors.mean()], FEATURES.T @ errors / len(errors)])


def test_one_step_of_sgd_is_minus_rate_times_gradient() -> None:
    state = initial(Linear(5), 1)
    delta, summary = train(Linear(5), Objective.BINARY, state, place(BINARY, CPU), ONE_STEP, 0)
    assert delta == pytest.approx(-0.5 * logistic_gradient(state), abs=1e-6)
    assert (summary.steps, summary.rows) == (1, 60) and summary.norm == pytest.approx(np.linalg.norm(delta))
    assert summary.loss == pytest.approx(evaluate(Linear(5), Objective.BINARY, state, place(BINARY, CPU)).loss, abs=1e-6)


def test_decay_and_momentum_and_adam_follow_their_formulas() -> None:
    state, rows = initial(Linear(5), 1), place(BINARY, CPU)
    first = logistic_gradient(state)
    decayed = train(Linear(5), Objective.BINARY, state, rows, msgspec.structs.replace(ONE_STEP, decay=0.1), 0)[0]
    assert decayed == pytest.approx(-0.5 * (first + 0.1 * state.vector), abs=1e-6)
    moved = ModelState(state.layout, (state.vector - 0.5 * first).astype(np.float32))
    heavy = train(Linear(5), Objective.BINARY, state, rows, msgspec.structs.replace(ONE_STEP, steps=2, momentum=0.9), 0)[0]
    assert heavy == pytest.approx(-0.5 * first - 0.5 * (0.9 * first + logistic_gradient(moved)), abs=1e-6)
    adam = train(Linear(5), Objective.BINARY, state, rows, msgspec.structs.replace(ONE_STEP, optimiser="adam"), 0)[0]
    assert adam == pytest.approx(-0.5 * first / (np.abs(first) + 1e-8), abs=1e-4)


CASES: list[tuple[Architecture, Objective, Examples]] = [
    (Linear(5), Objective.BINARY, BINARY),
    (Linear(5), Objective.SQUARED, NUMBERS),
    (Linear(5, 3), Objective.CATEGORICAL, THREE),
    (Mlp(5, (8, 4), 1, "tanh"), Objective.BINARY, BINARY),
    (Mlp(5, (8,), 3, "gelu"), Objective.CATEGORICAL, THREE),
    (Cnn(1, 4, 5, 3, (Block(2), Block(3))), Objective.CATEGORICAL, Examples(np.repeat(FEATURES, 4, axis=1), THREE.labels)),
]


@pytest.mark.parametrize(("architecture", "objective", "examples"), CASES)
def test_training_learns_and_repeats_bit_for_bit(architecture: Architecture, objective: Objective, examples: Examples) -> None:
    state, rows = initial(architecture, 3), place(examples, CPU)
    local = LocalTraining(rate=0.1, batch=8, epochs=30, momentum=0.5)
    delta, summary = train(architecture, objective, state, rows, local, 5)
    trained = ModelState(state.layout, state.vector + delta)
    before, after = (evaluate(architecture, objective, each, rows) for each in (state, trained))
    assert summary.steps == 30 * 8 and after.loss < 0.6 * before.loss
    train(Linear(5), Objective.BINARY, initial(Linear(5), 9), place(BINARY, CPU), ONE_STEP, 1)
    assert train(architecture, objective, state, rows, local, 5)[0].tobytes() == delta.tobytes()
    assert train(architecture, objective, state, rows, local, 6)[0].tobytes() != delta.tobytes()


def test_the_loss_is_the_mean_over_all_batches_of_a_long_training() -> None:
    still = LocalTraining(rate=1e-12, batch=60, steps=2500)
    state, rows = initial(Linear(5), 3), place(BINARY, CPU)
    summary = train(Linear(5), Objective.BINARY, state, rows, still, 1)[1]
    assert summary.steps == 2500 and summary.loss == pytest.approx(evaluate(Linear(5), Objective.BINARY, state, rows).loss, abs=1e-6)


def test_steps_run_on_over_passes_and_use_every_row() -> None:
    local = LocalTraining(rate=0.1, batch=7, steps=20)
    state = initial(Linear(5), 3)
    assert train(Linear(5), Objective.BINARY, state, place(BINARY, CPU), local, 1)[1].steps == 20
    passes = [
        train(Linear(5), Objective.BINARY, state, place(BINARY, CPU), LocalTraining(rate=0.1, batch=7, **count), 1)[0].tobytes()
        for count in ({"steps": 9}, {"epochs": 1})
    ]
    assert passes[0] == passes[1]


def test_evaluation_counts_and_sums_over_chunks() -> None:
    weights = np.array([0.0, 1, 1, 0, 0, 0], np.float32)
    many = Examples(np.tile(FEATURES, (200, 1)), np.tile(BINARY.labels, 200))
    found = evaluate(Linear(5), Objective.BINARY, ModelState(initial(Linear(5), 0).layout, weights), place(many, CPU))
    logits = many.features @ weights[1:]
    assert (found.rows, found.correct, found.accuracy) == (12_000, 12_000, 1.0)
    assert found.loss == pytest.approx(np.mean(np.logaddexp(0, np.where(many.labels == 1, -logits, logits))), abs=1e-6)


def test_regression_is_evaluated_by_its_squared_error() -> None:
    weights = ModelState(initial(Linear(5), 0).layout, np.array([1, 1, -2, 0, 0.5, 0], np.float32))
    found = evaluate(Linear(5), Objective.SQUARED, weights, place(NUMBERS, CPU))
    assert found.loss == pytest.approx(1.0, abs=1e-5) and found.accuracy is None


@pytest.mark.parametrize(
    ("architecture", "objective", "examples", "sentence"),
    [
        (Linear(4), Objective.BINARY, BINARY, "rows have 5 features"),
        (Linear(5), Objective.BINARY, THREE, "classes 0 to 1"),
        (Linear(5, 2), Objective.CATEGORICAL, THREE, "classes 0 to 1"),
        (Linear(5), Objective.BINARY, NUMBERS, "classes 0 to 1"),
        (Linear(5, 3), Objective.CATEGORICAL, Examples(FEATURES, THREE.labels - 1), "classes 0 to 2"),
        (Linear(5), Objective.SQUARED, BINARY, "numeric labels"),
        (Linear(5, 2), Objective.SQUARED, NUMBERS, "one output"),
    ],
)
def test_rows_that_do_not_fit_the_model_are_refused(
    architecture: Architecture, objective: Objective, examples: Examples, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        train(architecture, objective, initial(architecture, 0), place(examples, CPU), ONE_STEP, 0)
    with pytest.raises(DataError, match=sentence):
        evaluate(architecture, objective, initial(architecture, 0), place(examples, CPU))


def test_a_state_of_another_architecture_is_refused() -> None:
    with pytest.raises(DataError, match="layout"):
        train(Linear(5), Objective.BINARY, initial(Linear(6), 0), place(BINARY, CPU), ONE_STEP, 0)


def test_divergence_is_one_sentence() -> None:
    local = LocalTraining(rate=1000.0, batch=60, steps=200)
    with pytest.raises(FormatError, match="lower the learning rate"):
        train(Linear(5), Objective.SQUARED, initial(Linear(5), 0), place(NUMBERS, CPU), local, 0)


def test_devices_are_declared_and_must_be_there() -> None:
    assert open_device("cpu") == CPU
    with pytest.raises(ConfigError, match="not one of cpu"):
        open_device("tpu")
    absent = [name for name in ("cuda", "rocm", "xpu", "mps") if not _present(name)]
    for name in absent:
        with pytest.raises(ConfigError, match="finds no device"):
            open_device(name)
    assert {"cuda", "rocm"} & set(absent), "one of the two is always absent"


def _present(name: str) -> bool:
    match name:
        case "cuda" | "rocm":
            return torch.cuda.is_available() and (torch.version.hip is not None) == (name == "rocm")
        case "xpu":
            return torch.xpu.is_available()
        case _:
            return torch.backends.mps.is_available()


def test_a_model_can_be_trained_after_it_was_first_evaluated() -> None:
    architecture = Mlp(5, (3,), 1)
    state, rows = initial(architecture, 0), place(BINARY, CPU)
    before = evaluate(architecture, Objective.BINARY, state, rows)
    delta, _ = train(architecture, Objective.BINARY, state, rows, LocalTraining(rate=0.1, batch=8, epochs=5), 0)
    assert evaluate(architecture, Objective.BINARY, ModelState(state.layout, state.vector + delta), rows).loss < before.loss


def test_a_model_that_overflows_on_the_rows_is_refused() -> None:
    huge = ModelState(initial(Linear(5), 0).layout, np.full(6, 1e30, np.float32))
    with pytest.raises(FormatError, match="loss is not finite"):
        evaluate(Linear(5), Objective.SQUARED, huge, place(NUMBERS, CPU))
    with pytest.raises(FormatError, match="loss is not finite"):
        train(Linear(5), Objective.SQUARED, huge, place(NUMBERS, CPU), LocalTraining(rate=1e-6, batch=60, steps=1), 0)
