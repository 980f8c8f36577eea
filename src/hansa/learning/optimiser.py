"""Client optimisers as a few elementwise operations on one flat vector, the same bits as torch.optim's single-tensor form.

torch.optim itself would load the compiler stack: 80 MB and two seconds for each worker process, for the lines below.
"""

from __future__ import annotations

import torch

from hansa.learning.strategy import LocalTraining

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


class Optimiser:
    """Keeps the moments of one training run; `step` moves `weights` (d,) in place along `gradient` (d,)."""

    def __init__(self, local: LocalTraining, weights: torch.Tensor) -> None:
        self._local, self._weights = local, weights
        self._steps = 0
        self._first = torch.zeros_like(weights)
        self._second = torch.zeros_like(weights) if local.optimiser == "adam" else None

    @torch.no_grad()
    def step(self, gradient: torch.Tensor) -> None:
        local, self._steps = self._local, self._steps + 1
        if local.decay:
            gradient = gradient.add(self._weights, alpha=local.decay)
        if self._second is None:
            self._sgd(gradient)
        else:
            self._adam(gradient, self._second)

    def _sgd(self, gradient: torch.Tensor) -> None:
        """m = momentum * m + g (m = g at first); w -= rate * m."""
        if self._local.momentum:
            if self._steps == 1:
                self._first.copy_(gradient)
            else:
                self._first.mul_(self._local.momentum).add_(gradient)
            gradient = self._first
        self._weights.add_(gradient, alpha=-self._local.rate)

    def _adam(self, gradient: torch.Tensor, second: torch.Tensor) -> None:
        """Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1, in torch's order of operations."""
        self._first.lerp_(gradient, 1 - _BETA1)
        second.mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
        size = self._local.rate / (1 - _BETA1**self._steps)
        scale = (1 - _BETA2**self._steps) ** 0.5
        self._weights.addcdiv_(self._first, (second.sqrt() / scale).add_(_EPSILON), value=-size)
