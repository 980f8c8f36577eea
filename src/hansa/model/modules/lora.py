"""Low-rank adapters on torch: a module whose own weights are constants and whose linear layers learn beside them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from hansa.model.architectures.lora import Lora
from hansa.model.state import ModelState


def adapted(architecture: Lora, module: nn.Module, base: ModelState) -> nn.Module:
    """The base's untrained `module`, changed: its parameters become constants with the values of `base`, its targets get adapters."""
    tensors = base.tensors()
    for place, part in list(module.named_modules()):
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            path = f"{place}.{name}" if place else name
            part.register_buffer(name, torch.tensor(tensors[path]).view(parameter.shape), persistent=False)
    for place, (after, before) in architecture.layers().items():
        parent, _, name = place.rpartition(".")
        layer = module.get_submodule(place)
        module.get_submodule(parent).add_module(name, _Adapted(layer, after, before, architecture.rank, architecture.scale))
    return module


class _Adapted(nn.Module):
    """A frozen linear layer and the low-rank one beside it."""

    def __init__(self, frozen: nn.Module, after: int, before: int, rank: int, scale: float) -> None:
        super().__init__()
        self._scale = scale
        for name, constant in frozen.named_buffers():
            self.register_buffer(name, constant, persistent=False)
        self._biased = any(name == "bias" for name, _ in frozen.named_buffers())
        self.a = nn.Parameter(torch.zeros(rank, before))
        self.b = nn.Parameter(torch.zeros(after, rank))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        bias = self.get_buffer("bias") if self._biased else None
        return (
            functional.linear(values, self.get_buffer("weight"), bias)
            + functional.linear(functional.linear(values, self.a), self.b) * self._scale
        )
