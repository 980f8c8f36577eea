"""Who takes part in a round: a fixed number of clients without replacement, or each by itself with a probability."""

from __future__ import annotations

from typing import Protocol

import msgspec
import numpy as np

from hansa.core.errors import ConfigError, FormatError
from hansa.simulation.partition import Index


class Draw(Protocol):
    """A rule that draws cohorts; the same arguments give the same clients."""

    def check(self, population: int) -> None:
        """ConfigError when a population of this size is too small."""
        ...

    def clients(self, population: int, seed: int, round: int) -> Index:
        """Numbers of the clients of one round, ascending; memory grows with the cohort alone."""
        ...


class Fixed(msgspec.Struct, frozen=True, tag="fixed", forbid_unknown_fields=True):
    """`size` different clients a round, all equally likely."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise FormatError(f"a cohort of {self.size} clients cannot train; give at least 1")

    def check(self, population: int) -> None:
        if self.size > population:
            raise ConfigError(f"a cohort of {self.size} cannot be drawn from a population of {population}; lower one or raise the other")

    def clients(self, population: int, seed: int, round: int) -> Index:
        return _some(population, self.size, _generator(seed, round))


class Poisson(msgspec.Struct, frozen=True, tag="poisson", forbid_unknown_fields=True):
    """Each client by itself with probability `rate`, as amplification of privacy by sampling assumes (R9); a round may be empty."""

    rate: float

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise FormatError(f"clients take part with probability {self.rate}; it must be above 0 and at most 1")

    def check(self, population: int) -> None:
        if self.rate * population < 1:
            raise ConfigError(f"of {population} clients with probability {self.rate} most rounds have none; raise the rate")

    def clients(self, population: int, seed: int, round: int) -> Index:
        random = _generator(seed, round)
        return _some(population, int(random.binomial(population, self.rate)), random)


def _generator(seed: int, round: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, round, 0x64726177]))


def _some(population: int, size: int, random: np.random.Generator) -> Index:
    """`size` numbers below `population` without repetition, ascending; drawn one by one while that repeats seldom."""
    if 2 * size > population:
        return np.sort(random.permutation(population)[:size])
    found = np.empty(0, np.intp)
    while len(found) < size:
        fresh = np.concatenate([found, random.integers(0, population, size - len(found), dtype=np.intp)])
        _, first = np.unique(fresh, return_index=True)
        found = fresh[np.sort(first)]
    return np.sort(found)
