"""Stages: small pure pairs that prepare an update at the trainer (`encode`) and undo what can be undone on the sum (`decode`).

A chain of stages is a stage: it encodes in order and decodes in reverse. State goes in and comes out, measurements are returned; nothing is
kept or logged here, and measurements stay at the site (R9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError, ProtocolError
from hansa.model.layout import Layout
from hansa.model.state import checked
from hansa.model.update import Scales, dequantise, quantise

Value = NDArray[Any]
"""A flat vector (d,): float32 before quantisation, integers after it, float64 once decoded."""

State = tuple[Any, ...]
"""What a stage remembers between rounds; empty for most."""

Measurements = dict[str, float]
Step = tuple[Value, State, Measurements]


class Stage(Protocol):
    """A pair of pure functions; neither changes its arguments; FormatError for a value that the stage cannot take."""

    def initial(self) -> State:
        """The state before the first round."""
        ...

    def encode(self, value: Value, state: State) -> Step: ...

    def decode(self, value: Value, state: State) -> Step: ...


@dataclass(frozen=True, slots=True)
class Clip:
    """Bounds the update's Euclidean norm: x * min(1, norm / |x|) over all tensors together; nothing to undo."""

    norm: float

    def __post_init__(self) -> None:
        if not 0 < self.norm < math.inf:
            raise FormatError(f"a clipping norm is positive and finite, not {self.norm}")

    def initial(self) -> State:
        return ()

    def encode(self, value: Value, state: State) -> Step:
        value = checked(value, value.size, "an update")
        length = math.sqrt(float(np.square(value, dtype=np.float64).sum()))
        factor = min(1.0, self.norm / length) if length else 1.0
        clipped = value if factor == 1.0 else (value.astype(np.float64) * factor).astype(np.float32)
        return clipped, state, {"clip.norm": length, "clip.factor": factor}

    def decode(self, value: Value, state: State) -> Step:
        return value, state, {}


@dataclass(frozen=True, slots=True)
class Quantise:
    """Fixed point by the round's public scales; decoding multiplies a sum of integers by them (see `model.update`)."""

    layout: Layout
    scales: Scales
    bits: int = 16

    def initial(self) -> State:
        return ()

    def encode(self, value: Value, state: State) -> Step:
        values, saturated = quantise(self.layout, value, self.scales, self.bits)
        return values, state, {"quantise.saturated": saturated / self.layout.size}

    def decode(self, value: Value, state: State) -> Step:
        return dequantise(self.layout, value, self.scales), state, {}


@dataclass(frozen=True, slots=True)
class ErrorFeedback:
    """What the stage `rest` loses of a float32 vector (d,) is sent later: e <- decay * e + x; send e; e <- e - what the receiver gets.

    `rest` must decode to reals of the shape that it takes. The state is e, float32 (d,), followed by `rest`'s own.
    """

    rest: Stage
    size: int
    decay: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.decay <= 1:
            raise FormatError(f"the decay of error feedback is 0 to 1, not {self.decay}")

    def initial(self) -> State:
        return np.zeros(self.size, np.float32), *self.rest.initial()

    def encode(self, value: Value, state: State) -> Step:
        value = checked(value, self.size, "an update")
        if not state or getattr(state[0], "shape", None) != value.shape or state[0].dtype != np.float32:
            raise ProtocolError(f"the state of error feedback begins with float32 of shape {value.shape}; start from initial()")
        with np.errstate(over="ignore"):
            due = np.float32(self.decay) * state[0] + value
        sent, rest, measurements = self.rest.encode(due, state[1:])
        received = self.rest.decode(sent, rest)[0]
        return sent, ((due - received).astype(np.float32), *rest), measurements

    def decode(self, value: Value, state: State) -> Step:
        decoded, rest, measurements = self.rest.decode(value, state[1:])
        return decoded, (*state[:1], *rest), measurements


@dataclass(frozen=True, slots=True)
class Chain:
    """Stages one after the other; its state is the tuple of theirs."""

    stages: tuple[Stage, ...]

    def initial(self) -> State:
        return tuple(stage.initial() for stage in self.stages)

    def encode(self, value: Value, state: State) -> Step:
        self._check(state)
        states, measurements = list(state), Measurements()
        for place, stage in enumerate(self.stages):
            value, states[place], measured = stage.encode(value, states[place])
            measurements |= measured
        return value, tuple(states), measurements

    def decode(self, value: Value, state: State) -> Step:
        self._check(state)
        states, measurements = list(state), Measurements()
        for place, stage in reversed(list(enumerate(self.stages))):
            value, states[place], measured = stage.decode(value, states[place])
            measurements |= measured
        return value, tuple(states), measurements

    def _check(self, state: State) -> None:
        if len(state) != len(self.stages):
            raise ProtocolError(f"the state has {len(state)} parts for a chain of {len(self.stages)} stages; start from initial()")


def chain(*stages: Stage) -> Stage:
    """The stages as one."""
    return Chain(stages)
