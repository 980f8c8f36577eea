"""Declared model architectures: data with checked bounds, never code (a stranger's job may name one of these and nothing else).

Layout and initial state follow from the declaration with numpy alone; `build` makes the torch module, with the layout's names.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from hansa.core.errors import FormatError
from hansa.model.layout import Layout, Tensor
from hansa.model.state import ModelState

if TYPE_CHECKING:
    import torch

MAX_WIDTH = 1 << 16
MAX_LAYERS = 64
MAX_PIXELS = 1024
MAX_SEED = 1 << 53
"""Seeds stay below 2^53, so that a spec's JSON carries them exactly."""

Activation = Literal["relu", "tanh", "gelu"]


class Objective(StrEnum):
    """What training minimises, as the mean over a batch's rows; outputs are logits for the first two."""

    BINARY = "binary cross-entropy"
    CATEGORICAL = "cross-entropy"
    SQUARED = "mean squared error"


def _within(what: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise FormatError(f"{what} is {value}; it must be 1 to {most}")


class Linear(msgspec.Struct, frozen=True, tag="linear", forbid_unknown_fields=True):
    """y = W x + b: linear regression, or logistic regression under a cross-entropy objective."""

    inputs: int
    outputs: int = 1

    def __post_init__(self) -> None:
        _within("the number of inputs", self.inputs, MAX_WIDTH)
        _within("the number of outputs", self.outputs, MAX_WIDTH)


class Mlp(msgspec.Struct, frozen=True, tag="mlp", forbid_unknown_fields=True):
    """Fully connected layers of the widths `hidden`, an activation after each but the last."""

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        _within("the number of hidden layers", len(self.hidden), MAX_LAYERS - 1)
        for width in (self.inputs, *self.hidden, self.outputs):
            _within("a layer's width", width, MAX_WIDTH)
        if self.activation not in ("relu", "tanh", "gelu"):
            raise FormatError(f"the activation {self.activation!r} is not one of relu, tanh, gelu")


class SmallCnn(msgspec.Struct, frozen=True, tag="small-cnn", forbid_unknown_fields=True):
    """Two 3x3 convolutions of widths `filters`, each with relu and 2x2 max-pooling, then one linear layer to `classes` logits.

    A row is an image flattened in the order (channels, height, width); height and width are 4 to 1024 pixels.
    """

    channels: int
    height: int
    width: int
    classes: int
    filters: tuple[int, int] = (16, 32)

    def __post_init__(self) -> None:
        _within("the number of channels", self.channels, 16)
        for extent in (self.height, self.width):
            _within("an image's height or width", extent, MAX_PIXELS)
            if extent < 4:
                raise FormatError(f"an image of {extent} pixels is too small to be pooled twice; use at least 4")
        _within("the number of classes", self.classes, MAX_WIDTH)
        for filters in self.filters:
            _within("the number of filters", filters, 1024)


Architecture = Linear | Mlp | SmallCnn

Plan = list[tuple[str, int, tuple[int, ...]]]


def _plan(architecture: Architecture) -> Plan:
    """(layer name, fan-in, weight shape) of each layer, in order of their application."""
    match architecture:
        case Linear(inputs, outputs):
            return [("linear", inputs, (outputs, inputs))]
        case Mlp(inputs, hidden, outputs):
            widths = (inputs, *hidden, outputs)
            return [(f"layer{i:02}", before, (after, before)) for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False))]
        case SmallCnn(channels, height, width, classes, (first, second)):
            flat = second * (height // 4) * (width // 4)
            convolutions: Plan = [("conv1", 9 * channels, (first, channels, 3, 3)), ("conv2", 9 * first, (second, first, 3, 3))]
            return [*convolutions, ("head", flat, (classes, flat))]


def inputs(architecture: Architecture) -> int:
    """Number of values in one row."""
    match architecture:
        case SmallCnn(channels, height, width):
            return channels * height * width
        case _:
            return architecture.inputs


def outputs(architecture: Architecture) -> int:
    """Number of values the model gives for one row."""
    return _plan(architecture)[-1][2][0]


def footprint(architecture: Architecture) -> int:
    """The most values that one layer holds for one row: what a batch's memory grows by."""
    match architecture:
        case SmallCnn(_, height, width, _, filters):
            return max(inputs(architecture), max(filters) * height * width)
        case _:
            return max(inputs(architecture), *(shape[0] for _, _, shape in _plan(architecture)))


def check_objective(architecture: Architecture, objective: Objective) -> None:
    """FormatError unless the model's outputs fit: one logit for binary cross-entropy, at least two for cross-entropy."""
    count = outputs(architecture)
    if objective is Objective.BINARY and count != 1:
        raise FormatError(f"binary cross-entropy needs a model with 1 output, not {count}")
    if objective is Objective.CATEGORICAL and count < 2:
        raise FormatError("cross-entropy needs a model with at least 2 outputs; use binary cross-entropy for one logit")


def layout(architecture: Architecture) -> Layout:
    """The architecture's tensors: a weight and a bias per layer; FormatError when they are more than a layout may hold."""
    tensors = []
    for name, _, shape in _plan(architecture):
        tensors += [Tensor(f"{name}.bias", shape[:1]), Tensor(f"{name}.weight", shape)]
    return Layout(tuple(tensors))


def initial(architecture: Architecture, seed: int) -> ModelState:
    """Weights and biases uniform in ±1/sqrt(fan-in), the same for a seed (0 to 2^53 - 1) on every machine."""
    if not 0 <= seed < MAX_SEED:
        raise FormatError(f"a seed is 0 to 2^53 - 1, not {seed}")
    shape = layout(architecture)
    # Raw PCG64 words, scaled here: numpy promises that stream for ever, but not the stream of its distributions.
    words = np.random.PCG64(seed).random_raw(shape.size) >> np.uint64(11)
    vector = (words.astype(np.float64) * 2.0**-52 - 1.0).astype(np.float32)
    bounds = {name: 1.0 / math.sqrt(fan_in) for name, fan_in, _ in _plan(architecture)}
    for tensor, span in shape.spans():
        vector[span] *= np.float32(bounds[tensor.name.partition(".")[0]])
    return ModelState(shape, vector)


def build(architecture: Architecture) -> torch.nn.Module:
    """An untrained torch module that maps rows (n, inputs) to outputs (n, outputs); its parameters have the layout's names."""
    from torch import nn

    activations = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}
    model = nn.Sequential()
    plan = _plan(architecture)
    if isinstance(architecture, SmallCnn):
        model.add_module("image", nn.Unflatten(1, (architecture.channels, architecture.height, architecture.width)))
    for place, (name, _, shape) in enumerate(plan):
        last = place == len(plan) - 1
        if len(shape) == 4:
            model.add_module(name, nn.Conv2d(shape[1], shape[0], 3, padding=1))
            model.add_module(f"{name}-relu", nn.ReLU())
            model.add_module(f"{name}-pool", nn.MaxPool2d(2))
        else:
            if isinstance(architecture, SmallCnn):
                model.add_module("flat", nn.Flatten())
            model.add_module(name, nn.Linear(shape[1], shape[0]))
        if isinstance(architecture, Mlp) and not last:
            model.add_module(f"{name}-{architecture.activation}", activations[architecture.activation]())
    return model
