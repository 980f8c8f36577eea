"""Error feedback around a lossy compression: what a round did not send is added to the next round's update.

Seide et al. 2014; Stich and Karimireddy 2020 (arXiv:1909.05350); with decay as SparseLoCo has it (arXiv:2508.15706).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError
from hansa.learning.compression.compression import Grid
from hansa.model.layout import Layout
from hansa.model.stages import ErrorFeedback, Measurements, Stage, State, Step, Value
from hansa.model.state import Vector, checked
from hansa.model.update import Integers


class Lossy(Protocol):
    """A compression seen from inside: `pack` makes the bytes of what is to be sent now, with a state of its own, without error feedback."""

    @property
    def decay(self) -> float: ...

    def pack(self, grid: Grid, value: Vector, state: State, seed: int) -> tuple[bytes, State, Measurements]: ...

    def decode(self, grid: Grid, data: bytes | memoryview, seed: int) -> Integers: ...

    def limit(self, grid: Grid) -> int: ...

    def restore(self, grid: Grid, sums: NDArray[np.signedinteger], seed: int) -> NDArray[np.float64]: ...


def check_decay(decay: float) -> None:
    """FormatError unless the factor is 0 (no error feedback) to 1 (nothing is forgotten)."""
    if not 0 <= decay <= 1:
        raise FormatError(f"the decay of error feedback is {decay}; it must be 0, for none, to 1")


@dataclass(frozen=True, slots=True)
class Coded:
    """A compression in one round: the packing of its updates' bytes (`model.update_format`), and a stage from a float32 vector (d,) to
    a payload as uint8 and back to reals (d,)."""

    lossy: Lossy
    grid: Grid
    seed: int

    def initial(self) -> State:
        return ()

    def encode(self, value: Value, state: State) -> Step:
        payload, state, measured = self.lossy.pack(self.grid, checked(value, self.grid.layout.size, "an update"), state, self.seed)
        return np.frombuffer(payload, np.uint8), state, measured | {"compression.bytes": float(len(payload))}

    def decode(self, value: Value, state: State) -> Step:
        return self.lossy.restore(self.grid, self.unpack(value.data), self.seed), state, {}

    @property
    def limit(self) -> int:
        return self.lossy.limit(self.grid)

    def unpack(self, data: bytes | memoryview) -> Integers:
        return self.lossy.decode(self.grid, data, self.seed)


def initial_error(lossy: Lossy, layout: Layout) -> State:
    """One vector of zeros (d,), or nothing where nothing is fed back."""
    return (np.zeros(layout.size, np.float32),) if lossy.decay else ()


def encode(lossy: Lossy, grid: Grid, value: Vector, state: State, seed: int) -> tuple[bytes, State, Measurements]:
    """`lossy.pack` with error feedback around it, unless the decay is 0; the state is (error, *lossy's own)."""
    stage: Stage = Coded(lossy, grid, seed)
    if lossy.decay:
        stage = ErrorFeedback(stage, grid.layout.size, lossy.decay)
    payload, state, measured = stage.encode(value, state)
    return payload.tobytes(), state, measured
