"""A strategy: how sites train between two global models and how the server makes the next one, as pure functions over flat vectors."""

from __future__ import annotations

import hashlib
from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError
from hansa.model.aggregate import Aggregate
from hansa.model.state import ModelState

ServerState = tuple[NDArray[np.float64], ...]
"""Vectors (d,) that the server's optimiser keeps between rounds; empty for federated averaging."""

MAX_STEPS = 1 << 24
MAX_BATCH = 1 << 20


class LocalTraining(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a site trains in one round: `steps` updates or `epochs` passes (exactly one of the two is positive) over batches of `batch` rows.

    SGD adds `momentum`; both optimisers add `decay` times the weights to the gradient (L2). FormatError when a value is out of bounds.
    """

    rate: float
    batch: int
    steps: int = 0
    epochs: int = 0
    optimiser: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.0
    decay: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1e3:
            raise FormatError(f"the learning rate is {self.rate}; it must be above 0 and at most 1000")
        if not 1 <= self.batch <= MAX_BATCH:
            raise FormatError(f"the batch has {self.batch} rows; it must have 1 to {MAX_BATCH}")
        if (self.steps > 0) == (self.epochs > 0) or not 0 <= self.steps <= MAX_STEPS or not 0 <= self.epochs <= MAX_STEPS:
            raise FormatError(f"local training takes either steps or epochs, 1 to {MAX_STEPS}, not {self.steps} and {self.epochs}")
        if self.optimiser not in ("sgd", "adam"):
            raise FormatError(f"the optimiser {self.optimiser!r} is not one of sgd, adam")
        if not 0 <= self.momentum < 1 or (self.momentum and self.optimiser == "adam"):
            raise FormatError(f"the momentum is {self.momentum}; it must be 0 to below 1, and is SGD's alone")
        if not 0 <= self.decay <= 1:
            raise FormatError(f"the weight decay is {self.decay}; it must be 0 to 1")


class Strategy(Protocol):
    """Client objective and server optimiser of a job; both sides are deterministic in their arguments."""

    @property
    def local(self) -> LocalTraining: ...

    def init(self, base: ModelState) -> ServerState:
        """The server's state before the first round."""
        ...

    def step(self, base: ModelState, aggregate: Aggregate, state: ServerState) -> tuple[ModelState, ServerState]:
        """The next model from the last one and the sum of updates, bit for bit the same for everyone (R12); ProtocolError when they do
        not belong together."""
        ...


def derive_seed(job_seed: int, round: int, account: str) -> int:
    """The seed, below 2^53, of one account's batches in one round: the first 53 bits of sha256(tag, job seed, round, account).

    For what must be replayable only; noise, masks, keys and salts never come from it (R1).
    """
    text = f"hansa/seed/1\n{job_seed}\n{round}\n{account}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 11
