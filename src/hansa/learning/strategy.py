"""A strategy: how sites train between two global models and how the server makes the next one, as pure functions over flat vectors.

A round with it, at a site: `start` says what local training begins with, torch trains, `finish` says what is sent and what the site keeps.
At the server: `step` makes the next model of the mean of what was sent. What is sent is a vector of its own layout, `travels`: the model's
tensors, less those that stay home, and after them what the server needs besides, in tensors whose names begin with "~" (so that they sort
last). What the server keeps between rounds is public: whoever checks a round starts from it; `told` is the part that sites need.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError, ProtocolError
from hansa.model.aggregate import Aggregate
from hansa.model.layout import Layout
from hansa.model.state import ModelState, Vector, checked
from hansa.model.update import dequantise

ServerState = tuple[NDArray[np.float64], ...]
"""Vectors that the server's optimiser keeps between rounds; empty for federated averaging."""

Vectors = tuple[Vector, ...]
"""Float32 vectors that go to sites beside the model, or that a site keeps between its rounds."""

MAX_STEPS = 1 << 24
MAX_BATCH = 1 << 20


def within(what: str, value: float, least: float, most: float, *, strict: bool = False) -> None:
    """FormatError unless `value` lies between the two bounds; `strict` leaves the lower one out."""
    if not least <= value <= most or (strict and value == least):
        raise FormatError(f"{what} is {value}; it must be {'above' if strict else 'at least'} {least:g} and at most {most:g}")


class LocalTraining(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a site trains in one round: `steps` updates or `epochs` passes (exactly one of the two is positive) over batches of `batch` rows.

    A gradient is first cut to the Euclidean norm `clip` (0: not at all); then `proximal` times the distance from the weights that training
    began with is added (arXiv:1812.06127), and `decay` times the weights, which "adamw" instead takes off the weights (arXiv:1711.05101).
    SGD has `momentum`; "adam" and "adamw" have `beta1`, `beta2` and `epsilon`. The first `warmup` steps of a round grow to the full rate.
    FormatError when a value is out of bounds.
    """

    rate: float
    batch: int
    steps: int = 0
    epochs: int = 0
    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    momentum: float = 0.0
    decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    proximal: float = 0.0
    clip: float = 0.0
    warmup: int = 0

    def __post_init__(self) -> None:
        within("the learning rate", self.rate, 0, 1e3, strict=True)
        if not 1 <= self.batch <= MAX_BATCH:
            raise FormatError(f"the batch has {self.batch} rows; it must have 1 to {MAX_BATCH}")
        if (self.steps > 0) == (self.epochs > 0) or not 0 <= self.steps <= MAX_STEPS or not 0 <= self.epochs <= MAX_STEPS:
            raise FormatError(f"local training takes either steps or epochs, 1 to {MAX_STEPS}, not {self.steps} and {self.epochs}")
        if self.optimiser not in ("sgd", "adam", "adamw"):
            raise FormatError(f"the optimiser {self.optimiser!r} is not one of sgd, adam, adamw")
        if not 0 <= self.momentum < 1 or (self.momentum and self.optimiser != "sgd"):
            raise FormatError(f"the momentum is {self.momentum}; it must be 0 to below 1, and is SGD's alone")
        for what, beta in (("beta1", self.beta1), ("beta2", self.beta2)):
            if not 0 <= beta < 1:
                raise FormatError(f"{what} is {beta}; it must be 0 to below 1")
        within("the optimiser's epsilon", self.epsilon, 0, 1, strict=True)
        within("the weight decay", self.decay, 0, 1)
        within("the proximal term", self.proximal, 0, 1e3)
        within("the gradient's largest norm", self.clip, 0, 1e9)
        if not 0 <= self.warmup <= MAX_STEPS:
            raise FormatError(f"the rate is warmed up over {self.warmup} steps; it must be 0 to {MAX_STEPS}")


def moments(local: LocalTraining, size: int) -> tuple[int, ...]:
    """The lengths of the inner optimiser's moments for a model of `size` weights; none for plain SGD."""
    if local.optimiser == "sgd":
        return (size,) if local.momentum else ()
    return size, size, 1


@dataclass(frozen=True, eq=False, slots=True)
class Start:
    """What local training begins with at a site: weights float32 (d,), what is added to every gradient (d,) or None, and the inner
    optimiser's moments from the site's last round, empty for fresh ones.

    Moments are one vector (d,) for SGD with momentum; for "adam" and "adamw" two of them and a third of one number, the steps taken so far.
    """

    weights: Vector
    correction: Vector | None = None
    moments: Vectors = ()


@dataclass(frozen=True, eq=False, slots=True)
class End:
    """What local training came to: weights float32 (d,), optimiser steps taken, the inner optimiser's moments."""

    weights: Vector
    steps: int
    moments: Vectors = ()


@dataclass(frozen=True, eq=False, slots=True)
class Mean:
    """The weighted mean of what sites sent, float64 over the travelling layout, with the total weight and the number of contributions."""

    values: NDArray[np.float64]
    weight: int
    count: int


def mean_of(aggregate: Aggregate) -> Mean:
    """Two elementwise operations, each rounded as IEEE 754 says, so every machine gets the same bits (R12)."""
    values = dequantise(aggregate.layout, aggregate.values, aggregate.scales)
    return Mean(np.divide(values, float(aggregate.weight), out=values), aggregate.weight, aggregate.count)


def moved(base: ModelState, change: NDArray[np.float64]) -> ModelState:
    """base + change in float64, rounded once to float32."""
    return ModelState(base.layout, np.add(base.vector.astype(np.float64), change).astype(np.float32))


def check_state(state: ServerState, sizes: tuple[int, ...]) -> ServerState:
    """The server's state itself; ProtocolError unless it has a vector of each size, in order."""
    found = tuple(vector.size for vector in state)
    if found != sizes:
        raise ProtocolError(f"the server's state has vectors of {found} values, but the strategy keeps {sizes}; start from init()")
    return state


def check_vectors(what: str, vectors: Vectors, sizes: tuple[int, ...]) -> Vectors:
    """The vectors themselves; FormatError unless there is a finite float32 one of each size, in order."""
    if len(vectors) != len(sizes):
        raise FormatError(f"{what} is {len(vectors)} vectors, but the strategy has {len(sizes)}")
    return tuple(checked(vector, size, what) for vector, size in zip(vectors, sizes, strict=True))


class Strategy(Protocol):
    """Client objective and server optimiser of a job; all of it is deterministic in its arguments, and changes none of them."""

    @property
    def local(self) -> LocalTraining: ...

    def travels(self, layout: Layout) -> Layout:
        """The layout of what a site sends, for a model of `layout`."""
        ...

    def bounds(self, layout: Layout, bound: float) -> tuple[float, ...]:
        """Largest magnitude that a coordinate of each travelling tensor can carry, when a weight's change carries `bound`."""
        ...

    def init(self, base: ModelState) -> ServerState:
        """The server's state before the first round."""
        ...

    def told(self, layout: Layout, state: ServerState) -> Vectors:
        """What sites need of the server's state to train."""
        ...

    def step(self, base: ModelState, mean: Mean, state: ServerState) -> tuple[ModelState, ServerState]:
        """The next model from the last one and the mean of what was sent, bit for bit the same for everyone (R12)."""
        ...

    def fresh(self, layout: Layout) -> Vectors:
        """What a site keeps, before its first round: nothing, which `start` and `finish` take for a beginning."""
        ...

    def start(self, base: ModelState, told: Vectors, kept: Vectors) -> Start:
        """What local training begins with; its weights are the model as this site has it. FormatError when told or kept do not fit."""
        ...

    def finish(self, base: ModelState, told: Vectors, kept: Vectors, end: End) -> tuple[Vector, Vectors]:
        """What is sent, float32 over the travelling layout, and what the site keeps for its next round."""
        ...


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What most strategies share: the change of every weight travels, nothing is kept, told or remembered."""

    local: LocalTraining

    def travels(self, layout: Layout) -> Layout:
        return layout

    def bounds(self, layout: Layout, bound: float) -> tuple[float, ...]:
        return (bound,) * len(layout.tensors)

    def init(self, base: ModelState) -> ServerState:
        return ()

    def told(self, layout: Layout, state: ServerState) -> Vectors:
        return ()

    def fresh(self, layout: Layout) -> Vectors:
        return ()

    def start(self, base: ModelState, told: Vectors, kept: Vectors) -> Start:
        return Start(base.vector)

    def finish(self, base: ModelState, told: Vectors, kept: Vectors, end: End) -> tuple[Vector, Vectors]:
        return end.weights - base.vector, kept


def derive_seed(job_seed: int, round: int, account: str) -> int:
    """The seed, below 2^53, of one account's batches in one round: the first 53 bits of sha256(tag, job seed, round, account).

    For what must be replayable only; noise, masks, keys and salts never come from it (R1).
    """
    text = f"hansa/seed/1\n{job_seed}\n{round}\n{account}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 11
