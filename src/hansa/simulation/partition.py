"""Who holds which rows of one table: iid, label skew, quantity skew, shards or natural owners, as pure functions of a seed.

A partition either deals the table out, each row to exactly one client, and is then one permutation with offsets; or, with `rows` given,
each client draws that many rows for itself, and what it holds is a function of the seed and its number alone. Either way nothing is made
per client before it is asked for, so a million clients cost no more than the table.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import ConfigError, FormatError

Index = NDArray[np.intp]
"""Row numbers of the table."""

MAX_CLIENTS = 1 << 31
MAX_ROWS = 1 << 20


def _rows(rows: int) -> None:
    if not 0 <= rows <= MAX_ROWS:
        raise FormatError(f"a client draws {rows} rows; give 1 to {MAX_ROWS}, or none to deal the table out")


def _least(least: int) -> None:
    if not 1 <= least <= MAX_ROWS:
        raise FormatError(f"the fewest rows of a client are {least}; give 1 to {MAX_ROWS}")


class Iid(msgspec.Struct, frozen=True, tag="iid", forbid_unknown_fields=True):
    """Rows at random: equal shares of the table, or `rows` each."""

    rows: int = 0

    def __post_init__(self) -> None:
        _rows(self.rows)


class Dirichlet(msgspec.Struct, frozen=True, tag="dirichlet", forbid_unknown_fields=True):
    """Label skew: each class's rows are dealt in shares drawn from Dir(alpha) (Yurochkin et al. 2019, arXiv:1905.12022); or each client
    draws its own mixture of classes from Dir(alpha * the table's) (Hsu et al. 2019, arXiv:1909.06335) and `rows` rows by it.

    A dealt client has at least `least` rows, taken at random from those who have most.
    """

    alpha: float
    least: int = 1
    rows: int = 0

    def __post_init__(self) -> None:
        if not 1e-3 <= self.alpha <= 1e6:
            raise FormatError(f"the concentration alpha is {self.alpha}; it must be 0.001 (one class each) to 1000000 (all alike)")
        _rows(self.rows)
        _least(self.least)


class Quantity(msgspec.Struct, frozen=True, tag="quantity", forbid_unknown_fields=True):
    """Quantity skew: sizes follow exp(spread * normal), or rank^-spread under Zipf's law; `rows` is then the median, log-normal alone."""

    spread: float
    law: Literal["log-normal", "zipf"] = "log-normal"
    least: int = 1
    rows: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.spread <= 10:
            raise FormatError(f"the spread of sizes is {self.spread}; it must be above 0 and at most 10")
        if self.rows and self.law == "zipf":
            raise FormatError("Zipf's law ranks the clients of one table; leave out rows, or take the log-normal law")
        _rows(self.rows)
        _least(self.least)


class Shards(msgspec.Struct, frozen=True, tag="shards", forbid_unknown_fields=True):
    """The table sorted by label, cut into equal shards, `shards` of them for each client (McMahan et al. 2017, arXiv:1602.05629)."""

    shards: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.shards <= MAX_ROWS:
            raise FormatError(f"a client holds {self.shards} shards; give 1 to {MAX_ROWS}")


class Owners(msgspec.Struct, frozen=True, tag="owners", forbid_unknown_fields=True):
    """Each row belongs to whom the data say: a hospital, a writer."""


Partition = Iid | Dirichlet | Quantity | Shards | Owners


class Assignment(Protocol):
    """The outcome: what each of `clients` clients, numbered from 0, holds."""

    @property
    def clients(self) -> int: ...

    def size(self, client: int) -> int:
        """Number of the client's rows, at least 1."""
        ...

    def rows(self, client: int) -> Index:
        """The client's row numbers."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Dealt:
    """Client c holds order[offsets[c]:offsets[c + 1]]."""

    order: Index
    offsets: Index

    @property
    def clients(self) -> int:
        return len(self.offsets) - 1

    def size(self, client: int) -> int:
        return int(self.offsets[client + 1] - self.offsets[client])

    def rows(self, client: int) -> Index:
        return self.order[self.offsets[client] : self.offsets[client + 1]]

    @classmethod
    def by(cls, owner: NDArray[np.integer], clients: int) -> Dealt:
        """Rows grouped by their owner's number, in the table's order."""
        counts = np.bincount(owner, minlength=clients)
        return cls(np.argsort(owner, kind="stable"), np.concatenate(([0], np.cumsum(counts))))


@dataclass(frozen=True, eq=False, slots=True)
class Drawn:
    """Client c draws by the generator of (seed, c) from the table sorted by label; `starts` are where classes begin, with the end last."""

    partition: Iid | Dirichlet | Quantity
    clients: int
    seed: int
    order: Index
    starts: Index

    def size(self, client: int) -> int:
        return self._size(self._generator(client))

    def rows(self, client: int) -> Index:
        random = self._generator(client)
        size = self._size(random)
        if not isinstance(self.partition, Dirichlet):
            return np.take(self.order, random.choice(len(self.order), size, replace=False))
        pools = np.diff(self.starts)
        mixture = random.dirichlet(self.partition.alpha * pools / pools.sum() + np.finfo(np.float64).tiny)
        counts = random.multinomial(size, mixture)
        picks = [
            start + random.choice(pool, count, replace=bool(count > pool))
            for start, pool, count in zip(self.starts, pools, counts, strict=False)
            if count
        ]
        return np.take(self.order, np.concatenate(picks))

    def _generator(self, client: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([self.seed, client]))

    def _size(self, random: np.random.Generator) -> int:
        partition = self.partition
        if not isinstance(partition, Quantity):
            return partition.rows
        return min(len(self.order), max(partition.least, round(partition.rows * math.exp(partition.spread * random.standard_normal()))))


def assign(
    partition: Partition,
    clients: int,
    seed: int,
    labels: NDArray[np.int64] | NDArray[np.float32],
    owners: NDArray[np.integer] | None = None,
) -> Assignment:
    """Divide a table with these labels (n,), int64 for classes, among clients; `owners` are the owners' numbers (n,), from 0 without gaps.

    ConfigError when the table cannot be divided so: too few rows, no classes, no owners.
    """
    if not 1 <= clients <= MAX_CLIENTS:
        raise ConfigError(f"a population has 1 to {MAX_CLIENTS} clients, not {clients}")
    count, classed = len(labels), labels.dtype == np.int64
    if isinstance(partition, (Dirichlet, Shards)) and not classed:
        raise ConfigError("this partition skews classes, but the labels are numbers; use iid or quantity")
    random = np.random.Generator(np.random.PCG64([seed, 0x70617274]))
    if isinstance(partition, Owners):
        if owners is None:
            raise ConfigError("the data name no owner of their rows; use another partition")
        found = int(owners.max()) + 1
        if found != clients:
            raise ConfigError(f"the data have {found} owners, not {clients}; make the population {found}")
        return Dealt.by(owners, clients)
    if isinstance(partition, (Iid, Dirichlet, Quantity)) and partition.rows:
        if partition.rows > count:
            raise ConfigError(f"each client draws {partition.rows} rows, but the data have {count}; lower rows")
        order = np.argsort(labels, kind="stable") if classed else np.arange(count)
        starts = np.searchsorted(labels[order], np.arange(int(labels.max()) + 2)) if classed else np.array([0, count])
        return Drawn(partition, clients, seed, order, starts.astype(np.intp))
    needed = clients * (partition.shards if isinstance(partition, Shards) else partition.least if not isinstance(partition, Iid) else 1)
    if needed > count:
        raise ConfigError(
            f"{count} rows cannot be dealt to {clients} clients that need {needed}; give rows, so that each client draws its own"
        )
    match partition:
        case Iid():
            return Dealt(random.permutation(count), _cuts(count, np.ones(clients)))
        case Dirichlet(alpha, least):
            return Dealt.by(_skewed(labels, clients, alpha, least, random), clients)
        case Quantity(spread, law, least):
            return Dealt(random.permutation(count), _sized(count, clients, spread, law, least, random))
        case Shards(shards):
            sorted_rows = np.argsort(labels, kind="stable")
            shard = np.repeat(random.permutation(clients * shards) // shards, np.diff(_cuts(count, np.ones(clients * shards))))
            owner = np.empty(count, np.intp)
            owner[sorted_rows] = shard
            return Dealt.by(owner, clients)


def _cuts(count: int, shares: NDArray[np.float64]) -> Index:
    """Offsets that cut `count` rows in these shares, rounded so that they add up."""
    bounds = np.cumsum(shares)
    return np.concatenate(([0], np.rint(bounds / bounds[-1] * count).astype(np.intp)))


def _sized(count: int, clients: int, spread: float, law: str, least: int, random: np.random.Generator) -> Index:
    if law == "zipf":
        shares = random.permutation(np.arange(1, clients + 1, dtype=np.float64) ** -spread)
    else:
        shares = np.exp(spread * random.standard_normal(clients))
    # What is left after everyone has the least is divided by the law.
    return _cuts(count - clients * least, shares) + least * np.arange(clients + 1)


def _skewed(labels: NDArray[np.generic], clients: int, alpha: float, least: int, random: np.random.Generator) -> Index:
    """The owner of each row."""
    owner = np.empty(len(labels), np.intp)
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        owner[rows] = np.repeat(np.arange(clients), np.diff(_cuts(len(rows), random.dirichlet(np.full(clients, alpha)))))
    counts = np.bincount(owner, minlength=clients)
    shuffled = random.permutation(len(labels))
    order = shuffled[np.argsort(owner[shuffled], kind="stable")]
    ends = np.cumsum(counts)
    richest = [(-int(held), client) for client, held in enumerate(counts) if held > least]
    heapq.heapify(richest)
    for client in np.flatnonzero(counts < least):
        for _ in range(least - int(counts[client])):
            held, giver = heapq.heappop(richest)
            ends[giver] -= 1
            owner[order[ends[giver]]] = client
            if -held - 1 > least:
                heapq.heappush(richest, (held + 1, giver))
    return owner
