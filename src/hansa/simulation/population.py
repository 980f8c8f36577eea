"""A population of clients and their rows on a device, made or picked out when a client is drawn, never all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
import torch

from hansa.core.errors import FormatError
from hansa.learning.examples import Examples
from hansa.learning.local import Placed, place
from hansa.simulation.partition import MAX_CLIENTS, MAX_ROWS, Assignment, Index


class Population(Protocol):
    """Clients numbered from 0; what one holds is the same whenever it is asked for."""

    @property
    def clients(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def size(self, client: int) -> int:
        """Number of the client's rows, at least 1."""
        ...

    def rows(self, client: int) -> Placed:
        """The client's rows on the device."""
        ...

    def table(self, clients: Sequence[int]) -> tuple[Placed, list[Index]]:
        """Rows on the device among which those of the given clients are, and each client's places there."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Shared:
    """Clients that hold parts of one table, which is on the device once."""

    placed: Placed
    assignment: Assignment

    @classmethod
    def of(cls, examples: Examples, assignment: Assignment, device: torch.device) -> Shared:
        return cls(place(examples, device), assignment)

    @property
    def clients(self) -> int:
        return self.assignment.clients

    @property
    def device(self) -> torch.device:
        return self.placed.features.device

    def size(self, client: int) -> int:
        return self.assignment.size(client)

    def rows(self, client: int) -> Placed:
        index = torch.from_numpy(self.assignment.rows(client)).to(self.device)
        return Placed(self.placed.features[index], self.placed.labels[index])

    def table(self, clients: Sequence[int]) -> tuple[Placed, list[Index]]:
        return self.placed, [self.assignment.rows(client) for client in clients]


class Synthetic(msgspec.Struct, frozen=True, tag="synthetic", forbid_unknown_fields=True):
    """Clients that label their rows each by a linear model of its own: synthetic(alpha, beta) of Li et al. 2020 (arXiv:1812.06127).

    Client c: W_c = W + alpha * N(0, 1), rows N(v_c, diag(j^-1.2)) with v_c ~ beta * N(0, 1), label argmax(W_c x), `rows` of them in the
    median and log-normal with `spread`. All of it is a function of the seed and the client's number.
    """

    features: int = 60
    classes: int = 10
    rows: int = 50
    spread: float = 0.0
    alpha: float = 0.5
    beta: float = 0.5

    def __post_init__(self) -> None:
        for what, value, least, most in (
            ("features", self.features, 1, 1 << 16), ("classes", self.classes, 2, 1 << 12), ("rows", self.rows, 1, MAX_ROWS),
            ("spread", self.spread, 0, 4), ("alpha", self.alpha, 0, 100), ("beta", self.beta, 0, 100),
        ):  # fmt: skip
            if not least <= value <= most:
                raise FormatError(f"synthetic clients have {what} {value}; it must be {least} to {most}")


@dataclass(frozen=True, eq=False)
class SyntheticPopulation:
    """`clients` synthetic clients; those with higher numbers exist too and serve as test rows."""

    declared: Synthetic
    clients: int
    seed: int
    device: torch.device

    def __post_init__(self) -> None:
        if not 1 <= self.clients <= MAX_CLIENTS:
            raise FormatError(f"a population has 1 to {MAX_CLIENTS} clients, not {self.clients}")

    def size(self, client: int) -> int:
        return self._size(self._generator(client))

    def examples(self, client: int) -> Examples:
        """The client's rows in main memory."""
        declared, random = self.declared, self._generator(client)
        size = self._size(random)
        teacher = np.random.default_rng(self.seed).standard_normal((declared.features, declared.classes))
        teacher = teacher + declared.alpha * random.standard_normal(teacher.shape)
        deviations = np.arange(1, declared.features + 1) ** -0.6
        centre = declared.beta * random.standard_normal(declared.features)
        features = (centre + deviations * random.standard_normal((size, declared.features))).astype(np.float32)
        return Examples(features, (features @ teacher).argmax(1).astype(np.int64))

    def unseen(self, count: int) -> Examples:
        """The rows of `count` further clients that never take part."""
        parts = [self.examples(self.clients + number) for number in range(count)]
        return Examples(np.concatenate([part.features for part in parts]), np.concatenate([part.labels for part in parts]))

    def rows(self, client: int) -> Placed:
        return place(self.examples(client), self.device)

    def table(self, clients: Sequence[int]) -> tuple[Placed, list[Index]]:
        parts = [self.examples(client) for client in clients]
        bounds = np.cumsum([0, *(len(part) for part in parts)])
        joined = Examples(np.concatenate([part.features for part in parts]), np.concatenate([part.labels for part in parts]))
        return place(joined, self.device), [np.arange(start, stop) for start, stop in zip(bounds, bounds[1:], strict=False)]

    def _generator(self, client: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([self.seed, client]))

    def _size(self, random: np.random.Generator) -> int:
        return min(MAX_ROWS, max(1, round(self.declared.rows * float(np.exp(self.declared.spread * random.standard_normal())))))
