"""A crowd: many light trainers in one process, each with its own key, transport and seat, over one shared view of the ledger.

What a crowd costs a coordinator is what as many sites of their own would cost it; only their side is light: no rows, no training, no disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from hansa.chain.cursor import Cursor
from hansa.chain.deployment import Contracts, Deployment
from hansa.core.clock import Clock
from hansa.core.encoding import sha256
from hansa.core.ports import Ledger, Transport
from hansa.core.types import Address, Digest, Peer, Role
from hansa.identity.certificate import NodeCertificate
from hansa.identity.keys import AccountKey
from hansa.identity.typed import Domain
from hansa.learning.examples import Examples
from hansa.learning.schema import Schema
from hansa.learning.strategy import Vectors, derive_seed
from hansa.market.membership import Entry, join
from hansa.market.posting import nets
from hansa.model.state import ModelState, Vector
from hansa.node.beacon import JournalBeacon
from hansa.node.book import Book
from hansa.node.follower import Follower
from hansa.node.node import Parts
from hansa.node.trainer import TrainerNode
from hansa.rounds.job import JobState
from hansa.rounds.spec import JobSpec
from hansa.runtime.journal import MemoryJournal
from hansa.storage.memory import MemoryStore
from hansa.transport.https import HttpsTransport

REACH = 0.01
"""Largest coordinate of a light trainer's change."""

Place = Callable[[AccountKey, Callable[[Address], bool]], tuple[Transport, Callable[[], Peer]]]
"""The transport of one trainer, which admits whom the second argument says, and how others reach it once it serves."""


class LightTrainer(TrainerNode):
    """A site whose change is drawn evenly from ±`REACH` by its account and the round: the same whenever it is asked."""

    async def change(
        self, job: JobState, spec: JobSpec, round: int, base: ModelState, told: Vectors, kept: Vectors
    ) -> tuple[Vector, Vectors]:
        size = spec.strategy.travels(spec.layout).size
        drawn = np.random.default_rng(derive_seed(spec.seed, round, self.account)).random(size, dtype=np.float32)
        return (2 * drawn - 1) * np.float32(REACH), kept


class _SharedView(Follower):
    """A follower that its owner runs and many nodes look at."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Follower]:
        yield self

    def owned(self) -> contextlib.AbstractAsyncContextManager[Follower]:
        return super().running()


class Crowd:
    """Use as an async context, in which `add` brings trainers in; all of them end with it. `ledger` is closed with the last."""

    def __init__(self, ledger: Ledger, placed: Deployment, clock: Clock, schema: Schema, place: Place) -> None:
        self._ledger, self._placed, self._clock, self._schema, self._place = ledger, placed, clock, schema, place
        self._contracts = contracts = Contracts.of(placed)

        async def read_nets(first: int, milestones: int) -> tuple[int, ...]:
            return await nets(ledger, contracts, first, milestones)

        self.follower = _SharedView(Cursor(ledger, placed.events(), first_block=placed.block), read_nets)
        self.trainers: list[LightTrainer] = []
        self._rows = Examples(np.zeros((1, schema.width), np.float32), np.zeros(1, np.int64))
        self._stop, self._open = asyncio.Event(), contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._open.enter_async_context(self.follower.owned())
        self._running = await self._open.enter_async_context(asyncio.TaskGroup())
        self._open.callback(self._stop.set)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._open.aclose()

    async def add(self, number: int, *, stake: int) -> LightTrainer:
        """Trainer `number`, whose account owns its stake already: its node serves and stands on the ledger, with consent to be locked."""
        key, contracts = key_of(number), self._contracts
        transport, peer = self._place(key, self.follower.knows)
        journal = MemoryJournal()
        parts = Parts(
            name=name_of(number), account=key.address, signer=key, ledger=self._ledger, contracts=contracts,
            domain=Domain(self._placed.chain_id, contracts.rounds.address), book=Book(journal),
            beacon=JournalBeacon(journal, self._placed.chain_id, contracts.cohort.address), store=MemoryStore(self._clock),
            transport=transport, follower=self.follower, clock=self._clock, scratch=Path("/nonexistent"), journal=journal,
        )  # fmt: skip
        trainer = LightTrainer(parts, self._schema, self._rows, Digest(sha256(parts.name.encode())), disclose_rows=False)
        serving: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._running.create_task(trainer.run(self._stop, serving.set_result), name=parts.name)
        await serving
        entry = Entry(parts.name, peer().url, peer().certificate, bytes(32), 1 << Role.TRAINER)
        await join(self._ledger, contracts, key, entry, stake=stake, bonds=0)
        self.trainers.append(trainer)
        return trainer


def name_of(number: int) -> str:
    return f"light-{number:04}"


def key_of(number: int) -> AccountKey:
    """The key of trainer `number`: known to everybody, for a network of one machine."""
    return AccountKey(sha256(name_of(number).encode()))


def over_https(folder: Path, domain: Domain, clock: Clock) -> Place:
    """Each trainer on a port and with a certificate of its own, kept in `folder`."""

    def place(key: AccountKey, admit: Callable[[Address], bool]) -> tuple[Transport, Callable[[], Peer]]:
        certificate = NodeCertificate.load_or_create(folder / key.address, key.address, clock.now())
        transport = HttpsTransport(key, domain, certificate, clock, admit=admit)
        return transport, lambda: transport.peer

    return place
