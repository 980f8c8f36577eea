"""Linear models and fully connected networks on torch."""

from __future__ import annotations

from torch import nn

from hansa.model.architectures.dense import Linear, Mlp

_ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


def dense(architecture: Linear | Mlp) -> nn.Module:
    """Rows (n, inputs) to outputs (n, outputs)."""
    model = nn.Sequential()
    if isinstance(architecture, Linear):
        model.add_module("linear", nn.Linear(architecture.inputs, architecture.outputs))
        return model
    widths = architecture.widths
    for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
        model.add_module(f"layer{i:02}", nn.Linear(before, after))
        if i < len(architecture.hidden):
            model.add_module(f"layer{i:02}-{architecture.activation}", _ACTIVATIONS[architecture.activation]())
    return model
