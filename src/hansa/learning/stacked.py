"""One forward pass of several clients' models at once: every parameter has a leading dimension of clients, and so have the rows.

The layers of the declared dense and convolutional networks become batched products and grouped convolutions, which cost one dispatch for
all clients and, unlike torch's own batching rules, keep the layouts in which gradients are cheap. Other modules run under `torch.vmap`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Parameters = Mapping[str, torch.Tensor]
"""Parameters (clients, ...) by name."""

_Layer = Callable[[Parameters, torch.Tensor, int, float], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Stacked:
    """A module for several clients: `forward` takes parameters, rows (clients, n, inputs) and a rate to outputs (clients, n, ...).

    With a rate above 0, backward itself takes the step of plain SGD for the parameters named in `dense`, whose gradients are then never
    stored: for wide layers that is a third of the memory traffic. With rate 0 all parameters get gradients as usual.
    """

    forward: Callable[[Parameters, torch.Tensor, float], torch.Tensor]
    dense: frozenset[str] = frozenset()


def stacked(module: nn.Module) -> Stacked:
    """The module, stacked."""
    layers = list(_layers(module, ""))
    if any(layer is None for layer in layers):
        return Stacked(_mapped(module))
    known = [layer for layer in layers if layer is not None]

    def forward(parameters: Parameters, rows: torch.Tensor, rate: float) -> torch.Tensor:
        clients = rows.shape[0]
        for layer in known:
            rows = layer(parameters, rows, clients, rate)
        return rows

    dense = [name for name, part in module.named_modules() if isinstance(part, nn.Linear)]
    return Stacked(forward, frozenset(f"{name}.{kind}" if name else kind for name in dense for kind in ("weight", "bias")))


def _mapped(module: nn.Module) -> Callable[[Parameters, torch.Tensor, float], torch.Tensor]:
    from torch.func import functional_call
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def one(parameters: Parameters, rows: torch.Tensor) -> torch.Tensor:
        outcome: torch.Tensor = functional_call(module, dict(parameters), (rows,))
        return outcome

    mapped = torch.vmap(one)

    def forward(parameters: Parameters, rows: torch.Tensor, rate: float) -> torch.Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            outcome: torch.Tensor = mapped(parameters, rows)
        return outcome

    return forward


class _Descent(torch.autograd.Function):
    """y = x W^T + b for each client, whose backward also takes W -= rate * g^T x and b -= rate * sum g."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, rate: float) -> torch.Tensor:
        # Not saved for backward: torch would refuse weights that are changed there, after their last use.
        ctx.held = (x, weight, bias, rate)
        return _dense(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, None, None, None]:
        (gradient,), (x, weight, bias, rate) = gradients, ctx.held
        inward = torch.bmm(gradient, weight) if ctx.needs_input_grad[0] else None
        weight.baddbmm_(gradient.transpose(1, 2), x, alpha=-rate)
        bias.add_(gradient.sum(1), alpha=-rate)
        return inward, None, None, None


def _dense(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    # The weight comes first: its gradient is then a product that needs no transposition of the long side.
    return torch.baddbmm(bias.unsqueeze(2), weight, x.transpose(1, 2)).transpose(1, 2)


def _layers(module: nn.Module, name: str) -> Iterator[_Layer | None]:
    """The module's layers in order of their application; None where one is not known here."""
    if isinstance(module, nn.Sequential):
        for child, part in module.named_children():
            yield from _layers(part, f"{name}.{child}" if name else child)
    else:
        yield _layer(module, name)


def _layer(module: nn.Module, name: str) -> _Layer | None:
    """Values are (clients, n, k) between dense layers and (n, clients * channels, height, width) between convolutions."""
    weight, bias = f"{name}.weight", f"{name}.bias"
    match module:
        case nn.Linear():
            return lambda p, x, clients, rate: (
                _Descent.apply(x, p[weight], p[bias], rate) if rate else _dense(x, p[weight], p[bias])  # type: ignore[no-untyped-call]
            )
        case nn.Conv2d():
            stride, padding = module.stride, module.padding
            return lambda p, x, clients, rate: functional.conv2d(
                x, p[weight].flatten(0, 1), p[bias].flatten(), stride, padding, groups=clients
            )  # fmt: skip
        case nn.GroupNorm():
            groups, epsilon = module.num_groups, module.eps
            return lambda p, x, clients, rate: functional.group_norm(x, clients * groups, p[weight].flatten(), p[bias].flatten(), epsilon)
        case nn.ReLU() | nn.Tanh() | nn.GELU() | nn.MaxPool2d():
            return lambda p, x, clients, rate: module(x)
        case nn.Unflatten():
            shape = tuple(module.unflattened_size)
            return lambda p, x, clients, rate: (
                x.view(clients, -1, *shape).transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
            )
        case nn.Flatten():
            return lambda p, x, clients, rate: x.view(x.shape[0], clients, -1, *x.shape[2:]).transpose(0, 1).flatten(2)
        case _:
            return None
