"""Local training on torch: from a global model and a site's rows to the change of the weights, reproducible from its arguments.

One flat buffer holds the weights and one the gradients; the module's parameters are views of them. The optimiser then handles a single
tensor, whatever the architecture, and nothing is rebuilt from call to call.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from hansa.core.errors import ConfigError, DataError, FormatError
from hansa.learning.calls import TrainingSummary
from hansa.learning.examples import Examples
from hansa.learning.metrics import Evaluation
from hansa.learning.objective import correct, loss, targets
from hansa.learning.optimiser import Optimiser
from hansa.learning.strategy import LocalTraining
from hansa.model.architectures import Architecture, Objective, build, footprint, layout
from hansa.model.layout import Layout
from hansa.model.state import ModelState, Vector, checked

_CHUNK = 4096
_VALUES = 1 << 25
"""Rows evaluated at once, at most so many and with so many values in one layer; bounds memory."""


def open_device(name: str) -> torch.device:
    """The device a node declared: cpu, cuda, rocm, xpu or mps; ConfigError when this machine or this torch has none."""
    cuda = torch.cuda.is_available()
    present = {
        "cpu": True,
        "cuda": cuda and torch.version.hip is None,
        "rocm": cuda and torch.version.hip is not None,
        "xpu": torch.xpu.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name not in present:
        raise ConfigError(f"the device {name!r} is not one of {', '.join(present)}")
    if not present[name]:
        raise ConfigError(f"this machine's torch finds no device {name!r}; declare one of {', '.join(d for d in present if present[d])}")
    return torch.device("cuda" if name == "rocm" else name)


def make_deterministic(threads: int) -> None:
    """Settings of the whole process under which training repeats bit for bit on the same machine; call before the first training."""
    # cuBLAS reads this when it starts; without it torch refuses deterministic matrix products on such devices.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # The same switch as use_deterministic_algorithms(True), which would load the whole compiler stack beside it.
    torch.set_deterministic_debug_mode("error")


class Placed(NamedTuple):
    """Rows on a device: features float32 (n, k), labels int64 (n,) for classes or float32 (n,) for numbers."""

    features: torch.Tensor
    labels: torch.Tensor


def place(examples: Examples, device: torch.device) -> Placed:
    """Copy rows to a device."""
    return Placed(torch.tensor(examples.features, device=device), torch.tensor(examples.labels, device=device))


class _Trainable:
    """A module whose parameters are views of one flat vector, in the layout's order."""

    def __init__(self, architecture: Architecture, device: torch.device) -> None:
        self.layout: Layout = layout(architecture)
        self.module = build(architecture).to(device)
        self.weights = torch.nn.Parameter(torch.zeros(self.layout.size, device=device))
        self.gradient = torch.zeros(self.layout.size, device=device)
        self.weights.grad = self.gradient
        parameters = dict(self.module.named_parameters())
        for tensor, span in self.layout.spans():
            parameters[tensor.name].data = self.weights.data[span].view(tensor.shape)
            parameters[tensor.name].grad = self.gradient[span].view(tensor.shape)

    def load(self, state: ModelState) -> None:
        if state.layout != self.layout:
            raise DataError("the model's layout is not that of the job's architecture")
        self.weights.data.copy_(torch.tensor(state.vector))


@lru_cache(maxsize=8)
def _trainable(architecture: Architecture, device: torch.device) -> _Trainable:
    return _Trainable(architecture, device)


def _finite(loss: float) -> float:
    """The loss itself; a model can have finite weights and yet overflow on its rows, which no message could carry."""
    if not math.isfinite(loss):
        raise FormatError("the model's loss is not finite on these rows; lower the learning rate or normalise the features")
    return loss


def _batches(features: torch.Tensor, targets: torch.Tensor, local: LocalTraining, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of freshly shuffled passes; the last one of a pass may be smaller."""
    bits, rows = np.random.PCG64(seed), len(features)
    left = local.steps or local.epochs * math.ceil(rows / local.batch)
    while left:
        # Sorting raw words is a shuffle that no later version of numpy can change.
        order = np.argsort(bits.random_raw(rows), kind="stable")[: left * local.batch]
        index = torch.from_numpy(order).to(features.device)
        shuffled, wanted = features[index], targets[index]
        for start in range(0, len(order), local.batch):
            yield shuffled[start : start + local.batch], wanted[start : start + local.batch]
            left -= 1


def train(
    architecture: Architecture, objective: Objective, state: ModelState, rows: Placed, local: LocalTraining, seed: int
) -> tuple[Vector, TrainingSummary]:
    """The change of the weights, float32 (d,), after local training from `state`; equal arguments give equal bits on one machine.

    DataError when rows or labels do not fit the model, FormatError when training diverged. Not to be called from two threads at once.
    """
    wanted = targets(architecture, objective, rows)
    model = _trainable(architecture, rows.features.device)
    model.load(state)
    optimiser = Optimiser(local, model.weights.data)
    losses = []
    for features, batch in _batches(rows.features, wanted, local, seed):
        value = loss(objective, model.module(features), batch)
        model.gradient.zero_()
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step(model.gradient)
        losses.append(value.detach())
    delta = checked(model.weights.detach().cpu().numpy() - state.vector, state.layout.size, "the trained model")
    mean = _finite(float(torch.stack(losses).double().mean()))
    return delta, TrainingSummary(len(losses), len(rows.features), mean, math.sqrt(float(np.square(delta, dtype=np.float64).sum())))


@torch.no_grad()
def evaluate(architecture: Architecture, objective: Objective, state: ModelState, rows: Placed) -> Evaluation:
    """Loss and right answers of a model on rows; DataError when they do not fit it, FormatError when its loss is not finite."""
    wanted = targets(architecture, objective, rows)
    model = _trainable(architecture, rows.features.device)
    model.load(state)
    total, right = 0.0, None
    size = max(1, min(_CHUNK, _VALUES // footprint(architecture)))
    for start in range(0, len(rows.features), size):
        batch = wanted[start : start + size]
        outcome = model.module(rows.features[start : start + size])
        total += float(loss(objective, outcome, batch, "none").double().sum())
        count = correct(objective, outcome, batch)
        right = None if count is None else (right or 0) + int(count)
    return Evaluation(wanted.numel(), _finite(total), right)
