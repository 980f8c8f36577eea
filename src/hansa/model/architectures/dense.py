"""Linear models and fully connected networks, declared."""

from __future__ import annotations

from typing import Literal

import msgspec

from hansa.core.errors import FormatError
from hansa.model.architectures.plan import MAX_LAYERS, MAX_WIDTH, Plan, affine, within

Activation = Literal["relu", "tanh", "gelu"]


class Linear(msgspec.Struct, frozen=True, tag="linear", forbid_unknown_fields=True):
    """y = W x + b: linear regression, or logistic regression under a cross-entropy objective."""

    inputs: int
    outputs: int = 1

    def __post_init__(self) -> None:
        within("the number of inputs", self.inputs, MAX_WIDTH)
        within("the number of outputs", self.outputs, MAX_WIDTH)

    @property
    def footprint(self) -> int:
        return max(self.inputs, self.outputs)

    def plan(self) -> Plan:
        return affine("linear", self.inputs, self.outputs)


class Mlp(msgspec.Struct, frozen=True, tag="mlp", forbid_unknown_fields=True):
    """Fully connected layers of the widths `hidden`, an activation after each but the last."""

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        within("the number of hidden layers", len(self.hidden), MAX_LAYERS - 1)
        for width in self.widths:
            within("a layer's width", width, MAX_WIDTH)
        if self.activation not in ("relu", "tanh", "gelu"):
            raise FormatError(f"the activation {self.activation!r} is not one of relu, tanh, gelu")

    @property
    def widths(self) -> tuple[int, ...]:
        """Values before, between and after the layers."""
        return (self.inputs, *self.hidden, self.outputs)

    @property
    def footprint(self) -> int:
        return max(self.widths)

    def plan(self) -> Plan:
        widths = self.widths
        layers = [affine(f"layer{i:02}", before, after) for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False))]
        return [entry for layer in layers for entry in layer]
