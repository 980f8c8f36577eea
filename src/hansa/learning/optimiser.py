"""Client optimisers as a few elementwise operations over a list of tensors, the same bits as torch.optim's single-tensor form.

torch.optim itself would load the compiler stack: 80 MB and two seconds for each worker process, for the lines below.
"""

from __future__ import annotations

import numpy as np
import torch

from hansa.core.errors import FormatError
from hansa.learning.strategy import MAX_STEPS, LocalTraining, Start, Vectors, check_vectors, moments
from hansa.model.state import Vector

Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]


class Optimiser:
    """Keeps the moments of one training run from `start`; `step` moves `weights` in place and leaves the gradients as they are.

    `weights` are tensors on one device that together have the start's d values, in its order; FormatError when the start does not fit.
    """

    def __init__(self, local: LocalTraining, weights: Tensors, start: Start) -> None:
        self._local, self._weights = local, weights
        size = sum(tensor.numel() for tensor in weights)
        self._correction: list[torch.Tensor] | None = None
        if start.correction is not None:
            self._correction = self._split(*check_vectors("the correction", (start.correction,), (size,)))
        self._anchor = [tensor.clone() for tensor in weights] if local.proximal else None
        self._steps, self._before = 0, 0
        sizes = moments(local, size)
        found = check_vectors("the inner optimiser's moments", start.moments, sizes if start.moments else ())
        if not found:
            self._moments = [[torch.zeros_like(tensor) for tensor in weights] for _ in sizes[:2]]
            return
        self._moments = [self._split(vector) for vector in found[:2]]
        if local.optimiser != "sgd":
            self._before = int(found[2][0])
            if not 0 <= self._before <= MAX_STEPS or float(found[1].min()) < 0:
                raise FormatError("the inner optimiser's moments were not made by it: a second moment or the steps are negative")

    def _split(self, vector: Vector) -> list[torch.Tensor]:
        """A copy of a flat vector in the weights' shapes, on their device."""
        flat = torch.tensor(vector, device=self._weights[0].device)
        parts = torch.split(flat, [tensor.numel() for tensor in self._weights])
        return [part.view(tensor.shape) for part, tensor in zip(parts, self._weights, strict=True)]

    def moments(self) -> Vectors:
        """What a later run can start from."""
        flat = [torch.cat([tensor.flatten() for tensor in each]).cpu().numpy() for each in self._moments]
        if self._local.optimiser != "sgd":
            flat.append(np.array([min(self._before + self._steps, MAX_STEPS)], np.float32))
        return tuple(flat)

    @torch.no_grad()
    def step(self, gradients: Tensors) -> None:
        """One update along `gradients`, one tensor for each of the weights."""
        local, self._steps = self._local, self._steps + 1
        rate = local.rate * self._steps / (local.warmup + 1) if self._steps <= local.warmup else local.rate
        if local.clip:
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            gradients = torch._foreach_mul(gradients, (local.clip / norm).clamp(max=1.0))
        if self._correction is not None:
            gradients = torch._foreach_add(gradients, self._correction)
        if self._anchor is not None:
            gradients = torch._foreach_add(gradients, torch._foreach_sub(self._weights, self._anchor), alpha=local.proximal)
        if local.decay and local.optimiser == "adamw":
            torch._foreach_mul_(self._weights, 1 - rate * local.decay)
        elif local.decay:
            gradients = torch._foreach_add(gradients, self._weights, alpha=local.decay)
        if local.optimiser == "sgd":
            self._sgd(gradients, rate)
        else:
            self._adam(gradients, rate)

    def _sgd(self, gradients: Tensors, rate: float) -> None:
        """m = momentum * m + g, from zero; w -= rate * m."""
        if self._local.momentum:
            torch._foreach_mul_(self._moments[0], self._local.momentum)
            torch._foreach_add_(self._moments[0], gradients)
            gradients = self._moments[0]
        torch._foreach_add_(self._weights, gradients, alpha=-rate)

    def _adam(self, gradients: Tensors, rate: float) -> None:
        """Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1, in torch's order of operations."""
        local, (first, second), steps = self._local, self._moments, self._before + self._steps
        torch._foreach_lerp_(first, gradients, 1 - local.beta1)
        torch._foreach_mul_(second, local.beta2)
        torch._foreach_addcmul_(second, gradients, gradients, value=1 - local.beta2)
        scale = torch._foreach_sqrt(second)
        torch._foreach_div_(scale, (1 - local.beta2**steps) ** 0.5)
        torch._foreach_add_(scale, local.epsilon)
        torch._foreach_addcdiv_(self._weights, first, scale, value=-(rate / (1 - local.beta1**steps)))
