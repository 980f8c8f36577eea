"""FedBuff (Nguyen et al. 2022, arXiv:2106.06639): the server steps whenever enough changes have come, however stale."""

from __future__ import annotations

import math

import numpy as np

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.strategy import Declared, Mean, ServerState, moved, within
from hansa.model.state import ModelState

UNIT = 1024
"""The weight of a change that is not stale at all."""

MAX_STALENESS = 1 << 16


class FedBuff(Declared, frozen=True, tag="fedbuff"):
    """After `buffer` changes, each of weight s / 1024 with s = `discount(staleness)`: new = base + rate * sum(s / 1024 * change) / count.

    Staleness is the number of models made since the one that a site began with. Sites count alike: an update's weight is its discount.
    """

    buffer: int
    staleness: int = 64
    rate: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.buffer <= 1 << 20 or not 0 <= self.staleness <= MAX_STALENESS:
            raise FormatError(f"a buffer holds 1 to {1 << 20} changes, at most {MAX_STALENESS} models stale")
        within("the server's rate", self.rate, 0, 1e3, strict=True)

    def discount(self, staleness: int) -> int:
        """floor(1024 / sqrt(1 + staleness)); 0, which means left out, beyond the job's bound. ProtocolError when negative."""
        if staleness < 0:
            raise ProtocolError(f"a change is {staleness} models stale; it cannot come from a model that does not exist yet")
        return math.isqrt(UNIT * UNIT // (1 + staleness)) if staleness <= self.staleness else 0

    def step(self, base: ModelState, mean: Mean, state: ServerState) -> tuple[ModelState, ServerState]:
        if mean.weight > UNIT * mean.count:
            raise ProtocolError(f"{mean.count} changes weigh {mean.weight}, but each weighs at most {UNIT}, its discount alone")
        # The mean was divided by the sum of the discounts; the paper divides by the number of changes.
        share = mean.weight / (UNIT * mean.count)
        return moved(base, np.multiply(np.multiply(mean.values, share), self.rate)), state
