"""Clients trained together come to what each comes to alone, whatever their sizes, optimisers and models."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hansa.core.errors import DataError, FormatError, ProtocolError
from hansa.learning.examples import Examples
from hansa.learning.local import make_deterministic, place, train
from hansa.learning.strategy import LocalTraining, Start
from hansa.learning.vectorised import train_together, width
from hansa.model.architectures import Architecture, Block, Cnn, Linear, Mlp, Objective, Transformer, initial, layout

CPU = torch.device("cpu")
RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.standard_normal((90, 64)).astype(np.float32)
TABLE = Examples(FEATURES, RANDOM.integers(0, 3, 90))
SIZES = (10, 24, 7, 1, 24)
"""Clients with more, as many and fewer rows than a batch, and with unequal numbers of steps."""

SGD = LocalTraining(rate=0.1, batch=8, epochs=2)
MLP = Mlp(64, (5,), 3)
CNN = Cnn(1, 8, 8, 3, (Block(4, stride=2, pool=1), Block(4, 5, groups=2)), (6,))


def places(sizes: tuple[int, ...] = SIZES) -> list[np.ndarray]:
    return [RANDOM.permutation(90)[:size] for size in sizes]


def starts(architecture: Architecture, count: int, **more: object) -> list[Start]:
    state = initial(architecture, 3)
    return [Start(state.vector, **more)] * count  # type: ignore[arg-type]


def compare(
    architecture: Architecture, objective: Objective, local: LocalTraining, begun: list[Start], table: Examples = TABLE,
    held: list[np.ndarray] | None = None,
) -> None:  # fmt: skip
    held = held or places()
    seeds = list(range(len(held)))
    together = train_together(architecture, objective, begun, place(table, CPU), held, local, seeds)
    for (end, mean), start, rows, seed in zip(together, begun, held, seeds, strict=True):
        alone, seen = train(architecture, objective, start, place(table.take(rows), CPU), local, seed)
        assert np.abs(end.weights - alone.weights).max() < 2e-5
        assert end.steps == alone.steps and mean == pytest.approx(seen.loss, rel=1e-4)
        assert len(end.moments) == len(alone.moments)
        assert all(np.allclose(a, b, atol=2e-5) for a, b in zip(end.moments, alone.moments, strict=True))


@pytest.mark.parametrize(
    "local",
    [
        SGD,
        LocalTraining(rate=0.1, batch=8, steps=7, momentum=0.9, decay=0.01),
        LocalTraining(rate=0.1, batch=100, epochs=3),
        LocalTraining(rate=0.02, batch=8, epochs=2, optimiser="adam"),
        LocalTraining(rate=0.02, batch=8, epochs=2, optimiser="adamw", decay=0.1, warmup=3),
        LocalTraining(rate=0.5, batch=8, epochs=2, clip=0.3, proximal=0.5),
    ],
    ids=repr,
)
def test_every_optimiser_and_every_size(local: LocalTraining) -> None:
    compare(MLP, Objective.CATEGORICAL, local, starts(MLP, 5))


@pytest.mark.parametrize("architecture", [Linear(64, 3), MLP, CNN, Mlp(64, (4, 4), 3, "gelu")], ids=lambda each: type(each).__name__)
def test_every_model_of_known_layers(architecture: Architecture) -> None:
    compare(architecture, Objective.CATEGORICAL, SGD, starts(architecture, 5))


def test_other_objectives() -> None:
    numbers = Examples(FEATURES, FEATURES[:, 0] - 2 * FEATURES[:, 1])
    compare(Linear(64), Objective.SQUARED, LocalTraining(rate=0.01, batch=8, epochs=1), starts(Linear(64), 5), numbers)
    binary = Examples(FEATURES, (FEATURES[:, 0] > 0).astype(np.int64))
    compare(Linear(64), Objective.BINARY, SGD, starts(Linear(64), 5), binary)


def test_a_language_model() -> None:
    model = Transformer(vocabulary=11, context=8, width=8, layers=1, heads=2)
    tokens = Examples(RANDOM.integers(0, 11, (40, 9)).astype(np.float32), np.zeros(40, np.int64))
    held = [np.arange(12), np.arange(12, 40, 2)]
    compare(model, Objective.TOKENS, SGD, starts(model, 2), tokens, held)


def test_each_client_has_its_own_weights_correction_and_moments() -> None:
    size = layout(MLP).size
    begun = [Start(initial(MLP, client).vector, correction=(0.01 * RANDOM.standard_normal(size)).astype(np.float32)) for client in range(5)]
    compare(MLP, Objective.CATEGORICAL, SGD, begun)
    heavy = LocalTraining(rate=0.1, batch=8, epochs=2, momentum=0.9)
    begun = [Start(initial(MLP, client).vector, moments=(RANDOM.standard_normal(size).astype(np.float32),)) for client in range(5)]
    compare(MLP, Objective.CATEGORICAL, heavy, begun)


def test_equal_arguments_give_equal_bits() -> None:
    held = places()
    first, again = (
        [end.weights.tobytes() for end, _ in train_together(
            CNN, Objective.CATEGORICAL, starts(CNN, 5), place(TABLE, CPU), held, SGD, [1, 2, 3, 4, 5]
        )]
        for _ in range(2)
    )  # fmt: skip
    assert first == again


def test_what_cannot_be_stacked_says_so() -> None:
    adam = LocalTraining(rate=0.1, batch=8, epochs=1, optimiser="adam")
    moments = [(np.ones(layout(MLP).size, np.float32),) * 2 + (np.array([steps], np.float32),) for steps in (3, 4)]
    state = initial(MLP, 0)
    unequal = [Start(state.vector, moments=each) for each in moments]
    half = [Start(state.vector, correction=moments[0][0]), Start(state.vector)]
    for begun, local in ((unequal, adam), (half, SGD)):
        with pytest.raises(ProtocolError, match="one by one"):
            train_together(MLP, Objective.CATEGORICAL, begun, place(TABLE, CPU), places((8, 8)), local, [1, 2])


def test_divergence_and_wrong_rows_are_one_sentence() -> None:
    with pytest.raises(FormatError, match="lower the learning rate"):
        wild = LocalTraining(rate=1000.0, batch=60, steps=200)
        numbers = Examples(FEATURES, FEATURES[:, 0].copy())
        train_together(Linear(64), Objective.SQUARED, starts(Linear(64), 2), place(numbers, CPU), places((9, 9)), wild, [1, 2])
    with pytest.raises(DataError, match="features"):
        train_together(Linear(5, 3), Objective.CATEGORICAL, starts(Linear(5, 3), 1), place(TABLE, CPU), places((9,)), SGD, [1])


def test_the_width_of_a_stack_follows_the_models_size() -> None:
    assert width(Linear(8), SGD, CPU) == 24
    assert width(Mlp(784, (200,), 10), LocalTraining(rate=0.1, batch=10, epochs=1), CPU) in range(4, 9)
    assert width(Mlp(784, (4000,), 10), SGD, CPU) == 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_device_gives_the_same_up_to_rounding() -> None:
    held, cuda = places(), torch.device("cuda")
    make_deterministic(1)
    there = train_together(CNN, Objective.CATEGORICAL, starts(CNN, 5), place(TABLE, cuda), held, SGD, [1, 2, 3, 4, 5])
    here = train_together(CNN, Objective.CATEGORICAL, starts(CNN, 5), place(TABLE, CPU), held, SGD, [1, 2, 3, 4, 5])
    assert all(np.abs(a.weights - b.weights).max() < 1e-4 for (a, _), (b, _) in zip(there, here, strict=True))
