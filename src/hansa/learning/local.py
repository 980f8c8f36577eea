"""Local training on torch: from a start and a site's rows to the trained weights, reproducible from its arguments.

One flat buffer holds the weights and the module's parameters are views of it, so that nothing is rebuilt from call to call. A step is
forward, backward and the optimiser's elementwise operations on those views: gradients are neither cleared nor copied.
"""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from hansa.core.errors import ConfigError, DataError, FormatError
from hansa.learning.batches import passes
from hansa.learning.calls import TrainingSummary
from hansa.learning.examples import Examples
from hansa.learning.metrics import Evaluation
from hansa.learning.objective import correct, loss, targets
from hansa.learning.optimiser import Optimiser
from hansa.learning.strategy import End, LocalTraining, Start
from hansa.model.architectures import Architecture, Objective, build, footprint, layout
from hansa.model.layout import Layout
from hansa.model.state import ModelState, Vector, checked

_FOLD = 1024
"""Losses kept before they are added up."""

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
    # Tensor cores would round the factors of convolutions to ten bits; the same training elsewhere would be another one.
    torch.backends.cudnn.allow_tf32 = False


class Placed(NamedTuple):
    """Rows on a device: features float32 (n, k), labels int64 (n,) for classes or float32 (n,) for numbers."""

    features: torch.Tensor
    labels: torch.Tensor


def place(examples: Examples, device: torch.device) -> Placed:
    """Copy rows to a device."""
    return Placed(torch.tensor(examples.features, device=device), torch.tensor(examples.labels, device=device))


class _Trainable:
    """A module whose parameters are views of one flat vector, in the layout's order."""

    def __init__(self, architecture: Architecture, device: torch.device, frozen: ModelState | None) -> None:
        self.layout: Layout = layout(architecture)
        self.module = build(architecture, frozen).to(device)
        self.vector = torch.zeros(self.layout.size, device=device)
        named = dict(self.module.named_parameters())
        self.parameters = [named[tensor.name] for tensor in self.layout.tensors]
        self.weights = [self.vector[span].view(tensor.shape) for tensor, span in self.layout.spans()]
        for parameter, view in zip(self.parameters, self.weights, strict=True):
            parameter.data = view

    def chosen(self, only: tuple[str, ...]) -> tuple[list[torch.nn.Parameter], list[torch.Tensor]]:
        """Parameters and weights whose names begin with one of `only`; all of them when that is empty."""
        if not only:
            return self.parameters, self.weights
        places = [place for place, tensor in enumerate(self.layout.tensors) if tensor.name.startswith(only)]
        if not places:
            raise DataError(f"no tensor's name begins with {' or '.join(only)}; this model has {self.layout.tensors[0].name} and others")
        return [self.parameters[place] for place in places], [self.weights[place] for place in places]

    def load(self, vector: Vector) -> None:
        if vector.shape != (self.layout.size,):
            raise DataError(f"the model's vector has {vector.size} values, but the architecture's layout has {self.layout.size}")
        if self.vector.device.type == "cpu":
            np.copyto(self.vector.numpy(), vector)
        else:
            self.vector.copy_(torch.tensor(vector))


_MOST_MODULES = 8
_modules: OrderedDict[tuple[Architecture, torch.device], _Trainable] = OrderedDict()


def _trainable(architecture: Architecture, device: torch.device, frozen: ModelState | None) -> _Trainable:
    """The module, built once; an adapter's declaration names its frozen model by digest, so the key tells these apart too."""
    key = architecture, device
    if key not in _modules:
        _modules[key] = _Trainable(architecture, device, frozen)
        if len(_modules) > _MOST_MODULES:
            _modules.popitem(last=False)
    _modules.move_to_end(key)
    return _modules[key]


def built(architecture: Architecture, device: torch.device) -> bool:
    """Whether the module is at hand, so that an adapter's frozen model need not be handed in again."""
    return (architecture, device) in _modules


def _finite(loss: float) -> float:
    """The loss itself; a model can have finite weights and yet overflow on its rows, which no message could carry."""
    if not math.isfinite(loss):
        raise FormatError("the model's loss is not finite on these rows; lower the learning rate or normalise the features")
    return loss


def _batches(features: torch.Tensor, targets: torch.Tensor, local: LocalTraining, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The rows and targets of each step."""
    for order in passes(len(features), local, seed):
        index = torch.from_numpy(order).to(features.device)
        shuffled, wanted = features[index], targets[index]
        for start in range(0, len(order), local.batch):
            yield shuffled[start : start + local.batch], wanted[start : start + local.batch]


def train(
    architecture: Architecture, objective: Objective, start: Start, rows: Placed, local: LocalTraining, seed: int,
    *, frozen: ModelState | None = None, only: tuple[str, ...] = (),
) -> tuple[End, TrainingSummary]:  # fmt: skip
    """Local training from `start`: where it ended, and what it saw; equal arguments give equal bits on one machine.

    An adapter needs its `frozen` model. With `only`, tensors whose names begin otherwise keep their values, and the start's correction and
    moments are of the others alone.

    DataError when rows, labels or weights do not fit the model, FormatError when the start's other vectors do not, or when training
    diverged. Not to be called from two threads at once.
    """
    wanted = targets(architecture, objective, rows)
    model = _trainable(architecture, rows.features.device, frozen)
    model.load(start.weights)
    parameters, weights = model.chosen(only)
    optimiser = Optimiser(local, weights, start)
    total, steps, losses = 0.0, 0, list[torch.Tensor]()
    for features, batch in _batches(rows.features, wanted, local, seed):
        value = loss(objective, model.module(features), batch)
        optimiser.step(torch.autograd.grad(value, parameters))
        losses.append(value.detach())
        steps += 1
        # Read now and then, not at every step: on a device each reading waits for it.
        if len(losses) == _FOLD:
            total += _finite(float(torch.stack(losses).double().sum()))
            losses.clear()
    # On a processor the array would be the model's own memory, which the next training overwrites.
    trained = checked(np.array(model.vector.cpu().numpy()), model.layout.size, "the trained model")
    mean = _finite(total + (float(torch.stack(losses).double().sum()) if losses else 0.0)) / steps
    norm = float(np.linalg.norm(trained - start.weights))
    return End(trained, steps, optimiser.moments()), TrainingSummary(steps, len(rows.features), mean, norm)


@torch.no_grad()
def evaluate(
    architecture: Architecture, objective: Objective, state: ModelState, rows: Placed, *, frozen: ModelState | None = None
) -> Evaluation:
    """Loss and right answers of a model on rows; DataError when they do not fit it, FormatError when its loss is not finite."""
    wanted = targets(architecture, objective, rows)
    model = _trainable(architecture, rows.features.device, frozen)
    if state.layout != model.layout:
        raise DataError("the model's layout is not that of the job's architecture")
    model.load(state.vector)
    total, right = 0.0, None
    size = max(1, min(_CHUNK, _VALUES // footprint(architecture)))
    for start in range(0, len(rows.features), size):
        batch = wanted[start : start + size]
        outcome = model.module(rows.features[start : start + size])
        total += float(loss(objective, outcome, batch, "none").double().sum())
        count = correct(objective, outcome, batch)
        right = None if count is None else (right or 0) + int(count)
    return Evaluation(wanted.numel(), _finite(total), right)
