"""How a forest grows from sums: what a site counts for one level, and the splits that everyone finds in the sites' total.

A site's count is a histogram of first and second derivatives of the loss (Chen and Guestrin 2016, arXiv:1603.02754, section 2.2), which
add up over sites; `grow` is then a pure function of the sums: elementwise IEEE operations and running sums from the first bin to the last
(R12). A level is grown for every output of one boosting step at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import DataError, FormatError, ProtocolError
from hansa.learning.examples import Examples
from hansa.model.architectures import Objective, Trees, check_objective, layout
from hansa.model.layout import Layout, Tensor
from hansa.model.state import Vector, checked

_LARGEST = 1e100
"""Bounds a sum's magnitude, so that its square is finite."""

Places = NDArray[np.intp]
Reals = NDArray[np.float64]


class _Forest(NamedTuple):
    """The tensors of a forest: `features`, `bins` (steps, outputs, 2^depth - 1), `leaves` (steps, outputs, 2^depth), `levels`."""

    features: Places
    bins: Places
    leaves: Vector
    levels: int


def histogram_layout(trees: Trees) -> Layout:
    """What a site sends for a level, whichever it is: first derivatives, then second, per output, node of the level, feature and bin."""
    shape = (trees.outputs, trees.nodes, trees.inputs, trees.bins)
    return Layout((Tensor("gradients", shape), Tensor("hessians", shape)))


def predict(trees: Trees, vector: Vector, features: NDArray[np.float32]) -> Reals:
    """The forest's outputs, float64 (n, outputs), for rows float32 (n, inputs); FormatError when the vector is not such a forest."""
    forest, codes = _read(trees, vector), _codes(trees, features)
    return _scores(trees, forest, codes)


def histogram(trees: Trees, vector: Vector, examples: Examples, objective: Objective) -> Vector:
    """A site's sums for the level that comes next, float32 in `histogram_layout`; nodes that the level does not have are zero.

    For one row a first derivative is p - y under the cross-entropies and prediction - y under the squared error (of half the square), a
    second one p (1 - p) or 1. DataError when rows or labels do not fit, ProtocolError when the forest is grown.
    """
    forest = _read(trees, vector)
    step, level = _next(trees, forest)
    labels = _labels(trees, examples, objective)
    codes = _codes(trees, examples.features)
    first, second = _derivatives(objective, _scores(trees, forest, codes), labels)
    nodes = _descend(forest.features[step], forest.bins[step], codes, level) - ((1 << level) - 1)
    sums = np.zeros((2, trees.outputs, trees.nodes, trees.inputs, trees.bins), np.float32)
    active = 1 << level
    for output in range(trees.outputs):
        starts = nodes[:, output] * trees.bins
        for feature in range(trees.inputs):
            cells = starts + codes[:, feature]
            for kind, weights in enumerate((first, second)):
                counted = np.bincount(cells, weights[:, output], active * trees.bins)
                sums[kind, output, :active, feature] = counted.reshape(active, trees.bins)
    return sums.reshape(-1)


def grow(trees: Trees, vector: Vector, sums: Reals) -> Vector:
    """The forest with one level more, from all sites' sums, float64 in `histogram_layout`: the same bits for everyone.

    A node splits where G_left^2 / (H_left + penalty) + G_right^2 / (H_right + penalty) - G^2 / (H + penalty) is largest and positive, at
    the lowest feature and bin of several; a leaf is -rate * G / (H + penalty), set with the last level. Second derivatives below zero,
    which noise can make, count as zero. FormatError for sums of another shape or not finite, ProtocolError when the forest is grown.
    """
    forest = _read(trees, vector)
    step, level = _next(trees, forest)
    if sums.dtype != np.float64 or sums.shape != (trees.histogram,) or not (np.abs(sums) <= _LARGEST).all():
        raise FormatError(f"a level's sums must be {trees.histogram} finite float64 numbers, none beyond 1e100")
    active = 1 << level
    first, second = sums.reshape(2, trees.outputs, trees.nodes, trees.inputs, trees.bins)[:, :, :active]
    left, left2 = np.add.accumulate(first, -1), np.add.accumulate(np.maximum(second, 0.0), -1)
    whole, whole2 = left[..., -1:], left2[..., -1:]
    right, right2 = whole - left, whole2 - left2
    # Each feature is measured against its own totals: rounded sums of two features need not agree.
    gains = _quality(trees, left, left2) + _quality(trees, right, right2) - _quality(trees, whole, whole2)
    allowed = (left2 >= trees.least) & (right2 >= trees.least)
    allowed[..., -1] = False
    choices = np.where(allowed, gains, 0.0).reshape(trees.outputs, active, -1)
    best = choices.argmax(-1)
    splits = np.take_along_axis(choices, best[..., None], -1)[..., 0] > 0
    best = np.where(splits, best, trees.bins - 1)
    forest.features[step, :, active - 1 : 2 * active - 1] = best // trees.bins
    forest.bins[step, :, active - 1 : 2 * active - 1] = best % trees.bins
    leaves = forest.leaves.copy()
    if level == trees.depth - 1:
        for side, (gradients, hessians) in enumerate(((left, left2), (right, right2))):
            values = -trees.rate * (_at(gradients, best) / (_at(hessians, best) + trees.penalty))
            leaves[step, :, side::2] = values.astype(np.float32)
    parts = (forest.bins, forest.features, leaves, np.array(forest.levels + 1))
    grown = np.concatenate([part.reshape(-1).astype(np.float32) for part in parts])
    return checked(grown, grown.size, "the grown forest")


def _quality(trees: Trees, gradients: Reals, hessians: Reals) -> Reals:
    return gradients * gradients / (hessians + trees.penalty)


def _at(sums: Reals, best: Places) -> Reals:
    """The running sums (outputs, nodes, features, bins) at each node's chosen place."""
    return np.take_along_axis(sums.reshape(*best.shape, -1), best[..., None], -1)[..., 0]


def _read(trees: Trees, vector: Vector) -> _Forest:
    """The forest in a vector from another party; FormatError when it points outside its features, bins or levels."""
    shape = layout(trees)
    vector = checked(vector, shape.size, "a forest")
    parts = {tensor.name: vector[span].reshape(tensor.shape) for tensor, span in shape.spans()}
    whole: dict[str, Places] = {}
    for name, most in (("features", trees.inputs - 1), ("bins", trees.bins - 1), ("levels", trees.levels)):
        values = parts[name]
        if (values < 0).any() or (values > most).any() or (np.rint(values) != values).any():
            raise FormatError(f"the forest's {name} are not whole numbers of 0 to {most}; it was not grown by this protocol")
        whole[name] = values.astype(np.intp)
    grid = (trees.steps, trees.outputs, -1)
    return _Forest(whole["features"].reshape(grid), whole["bins"].reshape(grid), parts["leaves"].reshape(grid), int(whole["levels"]))


def _next(trees: Trees, forest: _Forest) -> tuple[int, int]:
    if forest.levels == trees.levels:
        raise ProtocolError(f"the forest has all its {trees.levels} levels; the job is done")
    return divmod(forest.levels, trees.depth)


def _codes(trees: Trees, features: NDArray[np.float32]) -> Places:
    """Each value's bin, (n, inputs): the number of edges below it."""
    if features.ndim != 2 or features.shape[1] != trees.inputs:
        raise DataError(f"the rows have shape {features.shape}, but the forest takes {trees.inputs} features")
    return np.searchsorted(trees.edges(), features, side="left")


def _descend(features: Places, bins: Places, codes: Places, levels: int) -> Places:
    """Where each row stands after so many levels of each tree, (n, trees): nodes in breadth-first order."""
    rows, trees = np.arange(len(codes))[:, None], np.arange(len(features))
    node = np.zeros((len(codes), len(features)), np.intp)
    for _ in range(levels):
        node = 2 * node + 1 + (codes[rows, features[trees, node]] > bins[trees, node])
    return node


def _scores(trees: Trees, forest: _Forest, codes: Places) -> Reals:
    """The sums of the finished steps' leaves, in the order of the steps."""
    scores = np.zeros((len(codes), trees.outputs))
    for step in range(forest.levels // trees.depth):
        place = _descend(forest.features[step], forest.bins[step], codes, trees.depth) - ((1 << trees.depth) - 1)
        scores += forest.leaves[step][np.arange(trees.outputs), place]
    return scores


def _labels(trees: Trees, examples: Examples, objective: Objective) -> NDArray[np.int64] | NDArray[np.float32]:
    check_objective(trees, objective)
    labels = examples.labels
    if objective is Objective.SQUARED:
        if trees.outputs != 1 or labels.dtype != np.float32:
            raise DataError("mean squared error needs a forest with one output and numeric labels")
        return labels
    classes = 2 if objective is Objective.BINARY else trees.outputs
    if labels.dtype != np.int64 or labels.min() < 0 or labels.max() >= classes:
        raise DataError(
            f"the labels are not classes 0 to {classes - 1}, which the forest distinguishes; look at the schema's label mapping"
        )
    return labels


def _derivatives(objective: Objective, scores: Reals, labels: NDArray[np.int64] | NDArray[np.float32]) -> tuple[Reals, Reals]:
    """First and second derivatives of each row's loss by each output, (n, outputs)."""
    if objective is Objective.SQUARED:
        return scores - labels[:, None], np.ones_like(scores)
    if objective is Objective.BINARY:
        chances, wanted = 1.0 / (1.0 + np.exp(-np.clip(scores, -500, 500))), labels[:, None].astype(np.float64)
    else:
        powers = np.exp(scores - scores.max(1, keepdims=True))
        chances, wanted = powers / powers.sum(1, keepdims=True), np.eye(scores.shape[1])[labels]
    return chances - wanted, chances * (1.0 - chances)
