"""One forward pass of several clients' models at once: every parameter has a leading dimension of clients, and so have the rows.

The layers of the declared dense and convolutional networks become batched products and grouped convolutions, which cost one dispatch for
all clients and, unlike torch's own batching rules, keep the layouts in which gradients are cheap. Other modules run under `torch.vmap`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import nn
from torch.nn import functional

Stacked = Mapping[str, torch.Tensor]
"""Parameters (clients, ...) by name."""

Forward = Callable[[Stacked, torch.Tensor], torch.Tensor]
"""From parameters and rows (clients, n, inputs) to outputs (clients, n, ...)."""

_Layer = Callable[[Stacked, torch.Tensor, int], torch.Tensor]


def stacked(module: nn.Module) -> Forward:
    """The module's forward pass for several clients."""
    layers = list(_layers(module, ""))
    if any(layer is None for layer in layers):
        return _mapped(module)
    known = [layer for layer in layers if layer is not None]

    def forward(parameters: Stacked, rows: torch.Tensor) -> torch.Tensor:
        clients = rows.shape[0]
        for layer in known:
            rows = layer(parameters, rows, clients)
        return rows

    return forward


def _mapped(module: nn.Module) -> Forward:
    from torch.func import functional_call
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def one(parameters: Stacked, rows: torch.Tensor) -> torch.Tensor:
        outcome: torch.Tensor = functional_call(module, dict(parameters), (rows,))
        return outcome

    mapped = torch.vmap(one)

    def forward(parameters: Stacked, rows: torch.Tensor) -> torch.Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            outcome: torch.Tensor = mapped(parameters, rows)
        return outcome

    return forward


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
            # The weight comes first: its gradient is then a product that needs no transposition of the long side.
            return lambda p, x, clients: torch.baddbmm(p[bias].unsqueeze(2), p[weight], x.transpose(1, 2)).transpose(1, 2)
        case nn.Conv2d():
            stride, padding = module.stride, module.padding
            return lambda p, x, clients: functional.conv2d(
                x, p[weight].flatten(0, 1), p[bias].flatten(), stride, padding, groups=clients
            )  # fmt: skip
        case nn.GroupNorm():
            groups, epsilon = module.num_groups, module.eps
            return lambda p, x, clients: functional.group_norm(x, clients * groups, p[weight].flatten(), p[bias].flatten(), epsilon)
        case nn.ReLU() | nn.Tanh() | nn.GELU() | nn.MaxPool2d():
            return lambda p, x, clients: module(x)
        case nn.Unflatten():
            shape = tuple(module.unflattened_size)
            return lambda p, x, clients: (
                x.view(clients, -1, *shape).transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
            )
        case nn.Flatten():
            return lambda p, x, clients: x.view(x.shape[0], clients, -1, *x.shape[2:]).transpose(0, 1).flatten(2)
        case _:
            return None
