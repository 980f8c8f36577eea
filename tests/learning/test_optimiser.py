"""Our optimisers against torch.optim, bit for bit."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import numpy as np
import pytest
import torch

from hansa.core.errors import FormatError
from hansa.learning.optimiser import Optimiser
from hansa.learning.strategy import LocalTraining, Start

CASES = [
    LocalTraining(rate=0.1, batch=1, steps=1),
    LocalTraining(rate=0.1, batch=1, steps=1, momentum=0.9),
    LocalTraining(rate=0.05, batch=1, steps=1, momentum=0.5, decay=0.01),
    LocalTraining(rate=0.001, batch=1, steps=1, optimiser="adam"),
    LocalTraining(rate=0.01, batch=1, steps=1, optimiser="adam", decay=0.1),
    LocalTraining(rate=0.01, batch=1, steps=1, optimiser="adam", beta1=0.8, beta2=0.95, epsilon=1e-4),
    LocalTraining(rate=0.01, batch=1, steps=1, optimiser="adamw", decay=0.1, beta2=0.95),
]


def theirs(local: LocalTraining, weights: torch.nn.Parameter) -> torch.optim.Optimizer:
    if local.optimiser != "sgd":
        kind = torch.optim.AdamW if local.optimiser == "adamw" else torch.optim.Adam
        betas = (local.beta1, local.beta2)
        return kind([weights], lr=local.rate, weight_decay=local.decay, betas=betas, eps=local.epsilon, foreach=False)
    return torch.optim.SGD([weights], lr=local.rate, momentum=local.momentum, weight_decay=local.decay, foreach=False)


@pytest.mark.parametrize("local", CASES, ids=lambda local: f"{local.optimiser}-{local.momentum}-{local.decay}-{local.beta2}")
def test_steps_have_the_bits_of_torch_optim(local: LocalTraining) -> None:
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(257, generator=generator)
    ours, reference = start.clone(), torch.nn.Parameter(start.clone())
    optimiser, other = Optimiser(local, [ours[:200], ours[200:].view(19, 3)], Start(start.numpy())), theirs(local, reference)
    for _ in range(50):
        gradient = torch.randn(257, generator=generator)
        reference.grad = gradient.clone()
        other.step()
        optimiser.step([gradient[:200], gradient[200:].view(19, 3)])
    assert torch.equal(ours, reference.data)


BASE = LocalTraining(rate=0.1, batch=1, steps=1)


def one(local: LocalTraining, start: Start, *gradients: list[float]) -> list[float]:
    """The weights after a step along each gradient."""
    weights = torch.tensor(start.weights)
    optimiser = Optimiser(local, [weights], start)
    for gradient in gradients:
        optimiser.step([torch.tensor(gradient)])
    return [round(float(value), 6) for value in weights]


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_a_gradient_is_cut_to_its_norm_before_anything_is_added() -> None:
    clipped = msgspec.structs.replace(BASE, clip=1.0)
    assert one(clipped, Start(vector(0, 0)), [3.0, 4.0]) == [-0.06, -0.08]
    assert one(clipped, Start(vector(0, 0)), [0.3, 0.4]) == [-0.03, -0.04]
    assert one(clipped, Start(vector(0, 0)), [0.0, 0.0]) == [0.0, 0.0]
    assert one(clipped, Start(vector(0, 0), vector(1, -1)), [3.0, 4.0]) == [-0.16, 0.02]


def test_the_correction_is_added_to_every_gradient() -> None:
    assert one(BASE, Start(vector(1, 2), vector(0.5, -1)), [1.0, 1.0], [1.0, 1.0]) == [0.7, 2.0]


def test_the_proximal_term_pulls_back_to_the_start() -> None:
    held = msgspec.structs.replace(BASE, proximal=0.5)
    # After the first step the weight is 0.1 below its start: the second gradient is 1 - 0.5 * 0.1.
    assert one(held, Start(vector(1)), [1.0]) == [0.9]
    assert one(held, Start(vector(1)), [1.0], [1.0]) == [0.805]


def test_the_rate_is_warmed_up() -> None:
    warm = msgspec.structs.replace(BASE, warmup=3)
    assert one(warm, Start(vector(0)), [1.0]) == [-0.025]
    assert one(warm, Start(vector(0)), [1.0], [1.0], [1.0], [1.0], [1.0]) == [-0.35]


@pytest.mark.parametrize("local", [case for case in CASES if case.momentum or case.optimiser != "sgd"], ids=str)
def test_a_run_goes_on_from_its_moments_with_the_same_bits(local: LocalTraining) -> None:
    generator = torch.Generator().manual_seed(2)
    gradients = [torch.randn(40, generator=generator) for _ in range(9)]
    weights = torch.randn(40, generator=generator)
    whole = weights.clone()
    through = Optimiser(local, [whole], Start(whole.numpy()))
    for gradient in gradients:
        through.step([gradient])
    kept: tuple[np.ndarray, ...] = ()
    for part in (gradients[:4], gradients[4:]):
        optimiser = Optimiser(local, [weights], Start(weights.numpy(), moments=kept))
        for gradient in part:
            optimiser.step([gradient])
        kept = optimiser.moments()
    assert torch.equal(whole, weights)
    assert [each.tobytes() for each in kept] == [each.tobytes() for each in through.moments()]


@pytest.mark.parametrize(
    "moments",
    [
        (vector(0, 0),),
        (vector(0), vector(0), vector(1)),
        (vector(0, 0), vector(0, -1), vector(1)),
        (vector(0, 0), vector(0, 0), vector(-1)),
    ],
)
def test_moments_of_another_run_are_refused(moments: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(FormatError, match="moments"):
        Optimiser(msgspec.structs.replace(BASE, optimiser="adam"), [torch.zeros(2)], Start(vector(0, 0), moments=moments))


def test_a_correction_of_another_size_is_refused() -> None:
    with pytest.raises(FormatError, match="correction"):
        Optimiser(BASE, [torch.zeros(2)], Start(vector(0, 0), vector(1)))


def test_a_step_leaves_the_gradient_alone() -> None:
    start = Start(vector(1, 1, 1), vector(1, 1, 1))
    for local in (msgspec.structs.replace(case, decay=0.1, proximal=0.1, clip=0.1) for case in CASES):
        gradient, weights = torch.ones(3), torch.ones(3)
        Optimiser(local, [weights], start).step([gradient])
        assert torch.equal(gradient, torch.ones(3)) and not torch.equal(weights, torch.ones(3))


def test_a_worker_trains_without_loading_the_compiler() -> None:
    code = "import hansa.learning.worker as w, sys; w.setup('cpu', 1); sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
