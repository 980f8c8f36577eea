"""Forests grown from sums: against a definition by hand over pooled rows, with bugs planted that the comparison catches."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from hansa.core.errors import DataError, FormatError, ProtocolError
from hansa.learning import trees as subject
from hansa.learning.examples import Examples
from hansa.learning.local import evaluate, place
from hansa.learning.trees import grow, histogram, histogram_layout, predict
from hansa.model.architectures import Objective, Trees, build, initial, layout
from hansa.model.state import ModelState, Vector

RANDOM = np.random.Generator(np.random.PCG64(5))
FEATURES = np.round(RANDOM.standard_normal((90, 4)), 1).astype(np.float32)
SIGNAL = FEATURES[:, 0] * FEATURES[:, 1] + FEATURES[:, 2]
CASES: dict[Objective, tuple[Trees, Examples]] = {
    Objective.BINARY: (
        Trees(4, steps=3, depth=3, bins=9, low=-1.6, high=1.4, least=0.5),
        Examples(FEATURES, (SIGNAL > 0.3).astype(np.int64)),
    ),
    Objective.SQUARED: (Trees(4, steps=3, depth=2, bins=8, penalty=0.5, least=8), Examples(FEATURES, SIGNAL.astype(np.float32))),
    Objective.CATEGORICAL: (
        Trees(4, steps=2, depth=2, outputs=3, bins=6, rate=0.5, least=0.1),
        Examples(FEATURES, np.digitize(SIGNAL, [-0.4, 0.7])),
    ),
}


def grown(trees: Trees, objective: Objective, sites: list[Examples], module: Any = subject) -> Vector:
    vector = initial(trees, 0).vector
    for _ in range(trees.levels):
        sums = np.zeros(trees.histogram)
        for site in sites:
            sums += module.histogram(trees, vector, site, objective)
        vector = module.grow(trees, vector, sums)
    return vector


class ByHand:
    """The same forest from its definition, row by row, in Python's own numbers."""

    def __init__(self, trees: Trees, examples: Examples, objective: Objective) -> None:
        self.trees, self.objective = trees, objective
        self.labels = examples.labels.tolist()
        edges = [trees.low + (trees.high - trees.low) * (j + 1) / trees.bins for j in range(trees.bins - 1)]
        self.codes = [[sum(bool(value > np.float32(edge)) for edge in edges) for value in row] for row in examples.features]
        self.scores = [[0.0] * trees.outputs for _ in self.labels]
        self.splits: list[list[tuple[int, int]]] = []
        self.leaves: list[list[float]] = []
        for _ in range(trees.steps):
            changes = [
                self._tree(output, [self._derivatives(row, output) for row in range(len(self.labels))]) for output in range(trees.outputs)
            ]
            for row, score in enumerate(self.scores):
                for output, change in enumerate(changes):
                    score[output] += change[row]

    def _derivatives(self, row: int, output: int) -> tuple[float, float]:
        scores, label = self.scores[row], self.labels[row]
        match self.objective:
            case Objective.SQUARED:
                return scores[0] - label, 1.0
            case Objective.BINARY:
                chance, wanted = 1 / (1 + math.exp(-scores[0])), label
            case _:
                chance, wanted = math.exp(scores[output]) / sum(map(math.exp, scores)), label == output
        return chance - wanted, chance * (1 - chance)

    def _sums(self, rows: list[int], derivatives: list[tuple[float, float]]) -> tuple[float, float]:
        return math.fsum(derivatives[row][0] for row in rows), math.fsum(derivatives[row][1] for row in rows)

    def _quality(self, sums: tuple[float, float]) -> float:
        return sums[0] ** 2 / (sums[1] + self.trees.penalty)

    def _tree(self, output: int, derivatives: list[tuple[float, float]]) -> list[float]:
        level, splits = [list(range(len(self.labels)))], []
        for _ in range(self.trees.depth):
            below: list[list[int]] = []
            for rows in level:
                best, chosen = 0.0, (0, self.trees.bins - 1)
                for feature in range(self.trees.inputs):
                    for bin in range(self.trees.bins - 1):
                        left = self._sums([row for row in rows if self.codes[row][feature] <= bin], derivatives)
                        right = self._sums([row for row in rows if self.codes[row][feature] > bin], derivatives)
                        gain = self._quality(left) + self._quality(right) - self._quality(self._sums(rows, derivatives))
                        if min(left[1], right[1]) >= self.trees.least and gain > best + 1e-9:
                            best, chosen = gain, (feature, bin)
                splits.append(chosen)
                for side in (False, True):
                    below.append([row for row in rows if (self.codes[row][chosen[0]] > chosen[1]) is side])
            level = below
        leaves = []
        changes = [0.0] * len(self.labels)
        for rows in level:
            first, second = self._sums(rows, derivatives)
            leaves.append(-self.trees.rate * first / (second + self.trees.penalty))
            for row in rows:
                changes[row] = leaves[-1]
        self.splits.append(splits)
        self.leaves.append(leaves)
        return changes


DEFINED = {objective: ByHand(trees, examples, objective) for objective, (trees, examples) in CASES.items()}


def agrees_with_the_definition(objective: Objective, module: Any = subject) -> None:
    (trees, examples), by_hand = CASES[objective], DEFINED[objective]
    vector = grown(trees, objective, [examples], module)
    tensors = ModelState(layout(trees), vector).tensors()
    found = np.stack([tensors["features"], tensors["bins"]], -1).astype(int)
    assert found.tolist() == [[list(split) for split in tree] for tree in by_hand.splits]
    assert tensors["leaves"] == pytest.approx(np.array(by_hand.leaves), abs=1e-5)
    assert tensors["levels"] == trees.levels
    assert module.predict(trees, vector, examples.features) == pytest.approx(np.array(by_hand.scores), abs=1e-5)


@pytest.mark.parametrize("objective", CASES)
def test_a_forest_is_what_its_definition_says(objective: Objective) -> None:
    agrees_with_the_definition(objective)
    splits = [split for tree in DEFINED[objective].splits for split in tree]
    assert len({feature for feature, _ in splits}) > 1, "the case must be worth comparing"


@pytest.mark.parametrize("objective", CASES)
def test_four_sites_grow_the_forest_of_their_pooled_rows(objective: Objective) -> None:
    trees, examples = CASES[objective]
    sites = [examples.take(np.flatnonzero(np.arange(90) % 7 % 4 == site)) for site in range(4)]
    spans = dict((tensor.name, span) for tensor, span in layout(trees).spans())
    together, alone = grown(trees, objective, sites), grown(trees, objective, [examples])
    for name in ("features", "bins", "levels"):
        assert (together[spans[name]] == alone[spans[name]]).all()
    assert together == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("objective", CASES)
def test_torch_descends_as_numpy_does_and_evaluates_unchanged(objective: Objective) -> None:
    trees, examples = CASES[objective]
    state = ModelState(layout(trees), grown(trees, objective, [examples]))
    rows = np.concatenate([examples.features, [[*trees.edges()[:3], 100.0]]]).astype(np.float32)
    parameters = {name: torch.tensor(tensor) for name, tensor in state.tensors().items()}
    outputs = torch.func.functional_call(build(trees), parameters, torch.tensor(rows))
    assert outputs.numpy() == pytest.approx(predict(trees, state.vector, rows), abs=1e-6)
    placed = place(examples, torch.device("cpu"))
    before, after = (evaluate(trees, objective, each, placed) for each in (initial(trees, 0), state))
    assert after.loss < 0.85 * before.loss


def test_sums_stand_where_the_layout_says() -> None:
    trees, examples = CASES[Objective.BINARY]
    sums = ModelState(histogram_layout(trees), histogram(trees, initial(trees, 0).vector, examples, Objective.BINARY)).tensors()
    assert not sums["gradients"][:, 1:].any() and not sums["hessians"][:, 1:].any()
    assert sums["gradients"][0, 0].sum(-1) == pytest.approx(np.full(4, (0.5 - examples.labels).sum()), abs=1e-4)
    counts = sums["hessians"][0, 0, 2] * 4
    inner = trees.edges()
    assert counts.tolist() == np.histogram(FEATURES[:, 2], [-np.inf, *np.nextafter(inner, np.float32(np.inf)), np.inf])[0].tolist()


STUMP = Trees(3, steps=1, depth=1, bins=4, rate=1.0, least=1.0)


def sums_of(first: list[list[float]], second: list[list[float]]) -> np.ndarray:
    return np.array([first, second], np.float64).reshape(-1)


def test_equal_gains_go_to_the_lowest_feature_and_bin() -> None:
    ones = [1.0, 1, 1, 1]
    tensors = ModelState(
        layout(STUMP), grow(STUMP, initial(STUMP, 0).vector, sums_of([[0.0] * 4, [-4, 0, 0, 4], [-4, 0, 0, 4]], [ones] * 3))
    ).tensors()
    assert (tensors["features"][0, 0], tensors["bins"][0, 0]) == (1, 0)
    assert tensors["leaves"].tolist() == [[2.0, -1.0]]


def test_a_node_without_gain_sends_everything_left() -> None:
    vector = grow(STUMP, initial(STUMP, 0).vector, sums_of([[2.0, 0, 0, 0]] * 3, [[4.0, 0, 0, 0]] * 3))
    tensors = ModelState(layout(STUMP), vector).tensors()
    assert (tensors["features"][0, 0], tensors["bins"][0, 0]) == (0, 3)
    assert tensors["leaves"].tolist() == [[pytest.approx(-0.4), 0.0]]
    assert predict(STUMP, vector, np.array([[1e30, 0, 0]], np.float32))[0, 0] == pytest.approx(-0.4)


def test_noise_below_zero_in_second_derivatives_counts_as_zero() -> None:
    noisy = sums_of([[-4.0, 1, 2, 4]] * 3, [[-9.0, 3, -9, 3]] * 3)
    clean = sums_of([[-4.0, 1, 2, 4]] * 3, [[0.0, 3, 0, 3]] * 3)
    assert grow(STUMP, initial(STUMP, 0).vector, noisy).tobytes() == grow(STUMP, initial(STUMP, 0).vector, clean).tobytes()


def test_the_grown_bits_are_frozen() -> None:
    trees = Trees(5, steps=2, depth=3, outputs=2, bins=7, least=0.25)
    words = np.random.PCG64(9)
    vector = initial(trees, 0).vector
    for _ in range(trees.levels):
        vector = grow(trees, vector, (words.random_raw(trees.histogram) >> np.uint64(40)).astype(np.float64) * 2.0**-20 - 4.0)
    assert hashlib.sha256(vector.astype("<f4").tobytes()).hexdigest()[:16] == "efbd158e49cb15d7"


def test_a_grown_forest_grows_no_more() -> None:
    trees, examples = CASES[Objective.SQUARED]
    vector = grown(trees, Objective.SQUARED, [examples])
    with pytest.raises(ProtocolError, match="all its 6 levels"):
        histogram(trees, vector, examples, Objective.SQUARED)
    with pytest.raises(ProtocolError, match="all its 6 levels"):
        grow(trees, vector, np.zeros(trees.histogram))


@pytest.mark.parametrize(
    ("name", "value"), [("features", 3), ("features", -1), ("features", 0.5), ("bins", 4), ("levels", 2), ("levels", 0.5)]
)
def test_a_forest_that_was_not_grown_is_refused(name: str, value: float) -> None:
    vector = initial(STUMP, 0).vector.copy()
    spans = {tensor.name: span for tensor, span in layout(STUMP).spans()}
    vector[spans[name]] = value
    for call in (lambda: predict(STUMP, vector, np.zeros((1, 3), np.float32)), lambda: grow(STUMP, vector, np.zeros(STUMP.histogram))):
        with pytest.raises(FormatError, match=f"forest's {name}"):
            call()
    parameters = {each: torch.tensor(tensor) for each, tensor in ModelState(layout(STUMP), vector).tensors().items()}
    torch.func.functional_call(build(STUMP), parameters, torch.zeros(2, 3))


@pytest.mark.parametrize(
    "sums", [np.zeros(5), np.zeros(STUMP.histogram, np.float32), np.full(STUMP.histogram, np.nan), np.full(STUMP.histogram, -1e200)]
)
def test_sums_of_another_kind_are_refused(sums: np.ndarray) -> None:
    with pytest.raises(FormatError, match="finite float64"):
        grow(STUMP, initial(STUMP, 0).vector, sums)


@pytest.mark.parametrize(
    ("trees", "objective", "examples", "error"),
    [
        (STUMP, Objective.BINARY, Examples(FEATURES, np.zeros(90, np.int64)), "takes 3 features"),
        (Trees(4, 1, 1), Objective.BINARY, Examples(FEATURES, np.full(90, 2)), "classes 0 to 1"),
        (Trees(4, 1, 1), Objective.BINARY, Examples(FEATURES, np.zeros(90, np.float32)), "classes 0 to 1"),
        (Trees(4, 1, 1, outputs=2), Objective.CATEGORICAL, Examples(FEATURES, np.full(90, 2)), "classes 0 to 1"),
        (Trees(4, 1, 1), Objective.SQUARED, Examples(FEATURES, np.zeros(90, np.int64)), "numeric labels"),
    ],
)
def test_rows_that_do_not_fit_are_refused(trees: Trees, objective: Objective, examples: Examples, error: str) -> None:
    with pytest.raises(DataError, match=error):
        histogram(trees, initial(trees, 0).vector, examples, objective)


def test_an_objective_that_does_not_fit_is_refused() -> None:
    with pytest.raises(FormatError, match="1 output"):
        histogram(Trees(4, 1, 1, outputs=2), initial(Trees(4, 1, 1, outputs=2), 0).vector, CASES[Objective.BINARY][1], Objective.BINARY)


BUGS = {
    "the bin of an edge": ('side="left"', 'side="right"'),
    "the split's own bin goes right": ("> bins[trees, node]", ">= bins[trees, node]"),
    "children in the wrong place": ("2 * node + 1 + (", "2 * node + ("),
    "running sums that start at the next bin": (
        "left, left2 = np.add.accumulate(first, -1)",
        "left, left2 = np.add.accumulate(first, -1) - first",
    ),
    "no parent's quality": (" - _quality(trees, whole, whole2)", ""),
    "one side's least": ("& (right2 >= trees.least)", ""),
    "the least is open": ("left2 >= trees.least", "left2 > trees.least"),
    "penalty left out of the gain": ("gradients * gradients / (hessians + trees.penalty)", "gradients * gradients / (hessians + 1e-9)"),
    "penalty left out of the leaf": ("(_at(hessians, best) + trees.penalty)", "(_at(hessians, best) + 1e-9)"),
    "the leaf's sign": ("-trees.rate *", "trees.rate *"),
    "leaves swapped": ("((left, left2), (right, right2))", "((right, right2), (left, left2))"),
    "leaves a level early": ("level == trees.depth - 1", "level == trees.depth - 2"),
    "trees that see a step unfinished": ("(1 << trees.depth) - 1)\n        scores", "(1 << trees.depth) - 2)\n        scores"),
    "steps forgotten": ("range(forest.levels // trees.depth)", "range(min(1, forest.levels // trees.depth))"),
    "second derivative of one": ("chances - wanted, chances * (1.0 - chances)", "chances - wanted, np.ones_like(chances)"),
    "sums of one output": ("cells, weights[:, output]", "cells, weights[:, 0]"),
    "nodes of one output": ("nodes[:, output]", "nodes[:, 0]"),
    "the last of equals": ("choices.argmax(-1)", "choices.shape[-1] - 1 - choices[..., ::-1].argmax(-1)"),
}
CATCHERS = {
    "the least is open": Objective.SQUARED,
    "sums of one output": Objective.CATEGORICAL,
    "nodes of one output": Objective.CATEGORICAL,
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_caught(bug: str) -> None:
    source, (right, wrong) = Path(subject.__file__).read_text(), BUGS[bug]
    assert right in source
    mutant = ModuleType("mutant")
    mutant.__dict__["__name__"] = subject.__name__
    exec(compile(source.replace(right, wrong, 1), "mutant", "exec"), mutant.__dict__)
    with pytest.raises((AssertionError, ValueError, IndexError)):
        agrees_with_the_definition(CATCHERS.get(bug, Objective.BINARY), mutant)


def test_four_sites_reach_the_accuracy_of_a_known_implementation() -> None:
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import train_test_split

    values, labels = load_breast_cancer(return_X_y=True)
    train, test, wanted, answers = train_test_split(values, labels, test_size=0.25, random_state=0)
    known = HistGradientBoostingClassifier(max_iter=40).fit(train, wanted).score(test, answers)
    sites = []
    for site in range(4):
        mine = slice(site, None, 4)
        scaled = (train[mine] - train[mine].mean(0)) / train[mine].std(0)
        sites.append(Examples(scaled.astype(np.float32), wanted[mine]))
    trees = Trees(30, steps=40, depth=3)
    scaled = ((test - train.mean(0)) / train.std(0)).astype(np.float32)
    accuracy = float(((predict(trees, grown(trees, Objective.BINARY, sites), scaled)[:, 0] > 0) == answers).mean())
    print(f"four sites {accuracy:.3f}, scikit-learn on the pooled rows {known:.3f}")
    assert accuracy >= 0.93


def test_a_model_adds_its_trees_in_the_order_in_which_they_grew() -> None:
    trees, random = Trees(2, steps=40, depth=1, bins=4), np.random.Generator(np.random.PCG64(6))
    start = initial(trees, 0)
    vector, spans = start.vector.copy(), {tensor.name: span for tensor, span in start.layout.spans()}
    # Leaves of unlike sizes: another order of adding them gives other bits.
    vector[spans["leaves"]] = random.standard_normal(80) * 10.0 ** random.integers(-3, 4, 80)
    vector[spans["levels"]] = trees.levels
    parameters = {name: torch.tensor(values) for name, values in ModelState(start.layout, vector).tensors().items()}
    rows = random.standard_normal((50, 2)).astype(np.float32)
    found = torch.func.functional_call(build(trees), parameters, torch.tensor(rows)).numpy()
    expected = np.zeros(50, np.float32)
    for left, right in vector[spans["leaves"]].reshape(40, 2):
        expected = expected + np.where(rows[:, 0] > trees.edges()[0], right, left)
    assert found[:, 0].tobytes() == expected.tobytes()
