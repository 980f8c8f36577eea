"""Our optimisers against torch.optim, bit for bit."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from hansa.learning.optimiser import Optimiser
from hansa.learning.strategy import LocalTraining

CASES = [
    LocalTraining(rate=0.1, batch=1, steps=1),
    LocalTraining(rate=0.1, batch=1, steps=1, momentum=0.9),
    LocalTraining(rate=0.05, batch=1, steps=1, momentum=0.5, decay=0.01),
    LocalTraining(rate=0.001, batch=1, steps=1, optimiser="adam"),
    LocalTraining(rate=0.01, batch=1, steps=1, optimiser="adam", decay=0.1),
]


def theirs(local: LocalTraining, weights: torch.nn.Parameter) -> torch.optim.Optimizer:
    if local.optimiser == "adam":
        return torch.optim.Adam([weights], lr=local.rate, weight_decay=local.decay, foreach=False)
    return torch.optim.SGD([weights], lr=local.rate, momentum=local.momentum, weight_decay=local.decay, foreach=False)


@pytest.mark.parametrize("local", CASES, ids=lambda local: f"{local.optimiser}-{local.momentum}-{local.decay}")
def test_steps_have_the_bits_of_torch_optim(local: LocalTraining) -> None:
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(257, generator=generator)
    ours, reference = start.clone(), torch.nn.Parameter(start.clone())
    optimiser, other = Optimiser(local, ours), theirs(local, reference)
    for _ in range(50):
        gradient = torch.randn(257, generator=generator)
        reference.grad = gradient.clone()
        other.step()
        optimiser.step(gradient)
    assert torch.equal(ours, reference.data)


def test_a_step_leaves_the_gradient_alone() -> None:
    gradient, weights = torch.ones(3), torch.ones(3)
    Optimiser(LocalTraining(rate=0.1, batch=1, steps=1, decay=0.1), weights).step(gradient)
    assert torch.equal(gradient, torch.ones(3)) and not torch.equal(weights, torch.ones(3))


def test_a_worker_trains_without_loading_the_compiler() -> None:
    code = "import hansa.learning.worker as w, sys; w.setup('cpu', 1); sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
