"""A whole network in one event loop: real nodes of every role over a ledger, a transport, journals and stores that a test chooses.

In memory, time passes only when the test says so (`pass_time`), and every wait ends as soon as what it waits for holds. With a folder, the
same nodes run on sockets, SQLite and files, by the real clock; with the URL of a chain, on that chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hansa.chain import deployment
from hansa.chain.bindings import structs
from hansa.chain.cursor import Cursor
from hansa.chain.deployment import Contracts, Deployment, Parameters
from hansa.chain.ledger import JsonRpcLedger
from hansa.chain.memory import MemoryLedger
from hansa.core.clock import Clock, ManualClock, SystemClock
from hansa.core.encoding import sha256
from hansa.core.errors import WorkerError
from hansa.core.ports import BlobStore, Entry, Journal, Ledger, Transport
from hansa.core.types import Address, Role
from hansa.identity.certificate import NodeCertificate
from hansa.identity.keys import AccountKey
from hansa.identity.typed import Domain
from hansa.learning import examples, shards
from hansa.learning.examples import Examples
from hansa.learning.schema import Numeric, Schema
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategy import LocalTraining
from hansa.market import acceptance
from hansa.market.membership import Entry as Listing
from hansa.market.membership import join
from hansa.market.posting import nets, post
from hansa.model import codec
from hansa.model.architectures import Architecture, Linear, Objective, initial
from hansa.node.beacon import JournalBeacon
from hansa.node.book import Book
from hansa.node.client import ClientNode
from hansa.node.coordinator import CoordinatorNode
from hansa.node.follower import Follower
from hansa.node.node import Node, Parts
from hansa.node.trainer import TrainerNode
from hansa.node.verifier import VerifierNode
from hansa.rounds.job import JobState
from hansa.rounds.spec import Acceptance, JobSpec, write_spec
from hansa.runtime.journal import MemoryJournal, SqliteJournal
from hansa.runtime.workers import WorkerPool
from hansa.storage.local import LocalStore
from hansa.storage.memory import MemoryStore
from hansa.transport.https import HttpsTransport
from hansa.transport.memory import MemoryNetwork

U = 10**18
FEATURES = 7
SCHEMA = Schema(features=tuple(Numeric(f"x{place}") for place in range(FEATURES)), label="y", classes={"no": 0, "yes": 1})
MODEL = Linear(FEATURES, 1)
PATIENCE_OF_A_TEST = 30.0
"""Real seconds after which a test that still waits has failed."""

Make = Callable[[Parts], Node]


def rows(seed: int, count: int = 24) -> Examples:
    """Separable rows of one site; the same for the same seed."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, FEATURES)).astype(np.float32)
    return Examples(features, (features @ np.arange(1, FEATURES + 1) > 0).astype(np.int64))


class SharedPool(WorkerPool):
    """A pool that outlives the nodes it is lent to."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    async def start(self) -> None:
        """It runs already."""

    async def close(self) -> None:
        """It goes on."""

    async def run(self, *arguments: Any, **options: Any) -> Any:
        return await self._pool.run(*arguments, **options)


class NoPool(SharedPool):
    """For worlds in which nothing is trained."""

    def __init__(self) -> None:
        pass

    async def run(self, *arguments: Any, **options: Any) -> Any:
        raise WorkerError("this world has no workers")


@dataclass
class Party:
    """What survives of a node when its process dies: its key, its journal, its blobs."""

    name: str
    role: Role | None
    make: Make
    key: AccountKey
    store: BlobStore
    home: Path | None
    pool: WorkerPool
    entries: list[Entry] = field(default_factory=list)
    node: Node | None = None
    task: asyncio.Task[None] | None = None
    stop: asyncio.Event | None = None
    starts: int = 0

    @property
    def account(self) -> Address:
        return self.key.address

    @property
    def running(self) -> Node:
        assert self.node is not None, f"{self.name} does not run"
        return self.node


class World:
    """Use `open_world`. `parties` by name, in the order in which they came."""

    def __init__(self, clock: Clock, ledger: Ledger, placed: Deployment, founder: AccountKey, home: Path | None, url: str) -> None:
        self.clock, self.ledger, self.placed, self.founder, self.home, self.url = clock, ledger, placed, founder, home, url
        self.contracts = Contracts.of(placed)
        self.domain = Domain(placed.chain_id, self.contracts.rounds.address)
        self.network = MemoryNetwork(self.domain, clock) if isinstance(clock, ManualClock) else None
        self.parties: dict[str, Party] = {}
        self.through: Callable[[Ledger], Ledger] = lambda ledger: ledger
        """What nodes started from now on get in place of the ledger."""
        self.journal: Callable[[Party], Journal] = self._journal

    def __getitem__(self, name: str) -> Node:
        return self.parties[name].running

    async def add(self, name: str, make: Make, pool: WorkerPool, *, stake: int = 5_000 * U, bonds: int = 1_000 * U) -> Node:
        """A new party, member of the network, its node running."""
        key = AccountKey(sha256(name.encode()))
        home = None if self.home is None else self.home / name
        store: BlobStore = MemoryStore(self.clock) if home is None else LocalStore(home / "blobs", self.clock)
        party = self.parties[name] = Party(name, None, make, key, store, home, pool)
        await self.ledger.send(self.contracts.token.transfer(key.address, 10_000 * U), self.founder, intent=f"fund/{name}")
        await self.start(name)
        node = party.running
        peer = node.parts.transport.peer  # type: ignore[attr-defined]
        role = party.role = node.role
        listing = Listing(name, peer.url, peer.certificate, bytes(32), 1 << (role or 5))
        await join(node.parts.ledger, self.contracts, key, listing, stake=stake, bonds=bonds)
        await self.until(lambda: key.address in node.follower.directory, f"{name} is registered")
        return node

    async def start(self, name: str) -> Node:
        """Start a party's node, for the first time or again, from what survived."""
        party = self.parties[name]
        journal = self.journal(party)
        ledger = self.through(self.ledger if not self.url else await JsonRpcLedger.open([self.url], journal))
        follower = Follower(
            Cursor(ledger, self.placed.events(), first_block=self.placed.block),
            lambda first, milestones: nets(ledger, self.contracts, first, milestones),
        )
        parts = Parts(
            name=name, account=party.account, signer=party.key, ledger=ledger, contracts=self.contracts, domain=self.domain,
            book=Book(journal), beacon=JournalBeacon(journal, self.placed.chain_id, self.contracts.cohort.address), store=party.store,
            transport=self._transport(party, follower), follower=follower, clock=self.clock, scratch=Path("/nonexistent"),
            workers=party.pool, standby=name.startswith("standby"),
        )  # fmt: skip
        node, stop = party.make(parts), asyncio.Event()
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(node.run(stop, ready.set_result), name=name)
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        party.node, party.task, party.stop, party.starts = node, task, stop, party.starts + 1
        return node

    def _journal(self, party: Party) -> Journal:
        return MemoryJournal(party.entries) if party.home is None else SqliteJournal(party.home / "journal.sqlite")

    def _transport(self, party: Party, follower: Follower) -> Transport:
        restarted = self.clock.now() if party.starts else None
        if self.network is not None:
            return self.network.transport(party.key, admit=follower.knows, restarted_at=restarted)
        assert party.home is not None
        certificate = NodeCertificate.load_or_create(party.home, party.account, self.clock.now())
        return HttpsTransport(party.key, self.domain, certificate, self.clock, admit=follower.knows, restarted_at=restarted)

    async def kill(self, name: str) -> None:
        """The node ends between two steps, whatever it was doing; what is in its journal and store stays."""
        party = self.parties[name]
        node, task, party.node, party.task = party.node, party.task, None, None
        if task is not None and node is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def pass_time(self, seconds: float) -> None:
        """Let protocol time go on, and a block tell everyone."""
        assert self.network is not None and isinstance(self.ledger, MemoryLedger)
        await self.network.advance(seconds)
        self.ledger.mine()
        await asyncio.sleep(0)

    async def rest(self) -> None:
        """Wait until no node is at work on anything that is due at this time."""
        quiet = 0
        while quiet < 3:
            busy = any(party.node is not None and party.node.busy for party in self.parties.values())
            quiet = 0 if busy else quiet + 1
            await asyncio.sleep(0.003)

    async def step_until(self, holds: Callable[[], bool], what: str, *, step: float = 2.0, most: float = 200.0) -> None:
        """Let time pass in steps, everything done that is due at each, until something holds."""
        passed = 0.0
        await self.rest()
        while not holds():
            assert passed < most, f"{what}: not in {most:g} s"
            await self.pass_time(step)
            await self.rest()
            passed += step

    async def until(self, holds: Callable[[], bool], what: str, *, seconds: float = PATIENCE_OF_A_TEST) -> None:
        """Wait until something holds; a node that failed, or too long a wait, fails the test."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not holds():
            for party in self.parties.values():
                if party.task is not None and party.task.done():
                    party.task.result()
            assert asyncio.get_running_loop().time() < deadline, f"waited in vain: {what}"
            await asyncio.sleep(0.002)

    async def close(self) -> None:
        for party in self.parties.values():
            if party.stop is not None:
                party.stop.set()
        tasks = [party.task for party in self.parties.values() if party.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.ledger.close()

    def state(self, job: int, of: str = "client") -> JobState:
        """A job as one party sees it."""
        return self[of].follower.jobs[job]

    async def post(
        self, *, rounds: int = 4, milestones: int = 2, trainers: int = 3, quorum: int = 3, verifiers: int = 3, patience: int = 80,
        window: int = 16, enrol: int = 40, deadline: int = 4_000, seed: int = 3, local: LocalTraining | None = None, bound: float = 1.0,
        architecture: Architecture = MODEL, held: Callable[[int, int], Examples] = rows, **declared: object,
    ) -> int:  # fmt: skip
        """A job of the party "client", over 8 parameters unless an architecture is given, posted; its seats are taken as its terms say.

        `held` gives the client's rows by a seed and a number; `declared` changes the spec.
        """
        client = self["client"]
        assert isinstance(client, ClientNode)
        genesis = await client.offer(codec.encode(initial(architecture, 7)))
        opened = [await client.offer(shards.write(held(1_000 + place, 60))) for place in range(milestones)]
        progress = await client.offer(shards.write(held(999, 60)))
        sealed = acceptance.seal(self.placed.chain_id, self.contracts.acceptance.address, client.account, opened)
        usual: dict[str, Any] = {
            "title": "a test", "data": SCHEMA, "objective": Objective.BINARY, "max_weight": 1_000,
            "strategy": FedAvg(local or LocalTraining(rate=0.5, batch=8, epochs=1)),
            "acceptance": Acceptance("accuracy", 500_000, 0, "chance"),
        }  # fmt: skip
        spec = JobSpec(
            architecture=architecture, seed=seed, genesis=genesis, progress=progress, bound=bound, **usual | declared
        )  # fmt: skip
        ref, now = await client.offer(write_spec(spec)), int(self.clock.now())
        terms = structs.Terms(
            spec=ref.digest, genesis=genesis.digest, acceptance=sealed.root(), rounds=rounds, milestones=milestones, quorum=quorum,
            verifiers=verifiers, coordinator_bps=1_000, verifier_bps=1_500, enrol_by=now + enrol, patience=patience, window=window,
            deadline=now + deadline, trainer_stake=100 * U, coordinator_stake=1_000 * U, verifier_stake=300 * U,
            challenge_bond=50 * U, max_trainers=trainers,
        )  # fmt: skip
        job = await post(
            client.parts.ledger, self.contracts, self.parties["client"].key, ref, [client.account], terms, [1_000 * U] * milestones,
            intent=f"post/{seed}",
        )  # fmt: skip
        client.sealed[job] = sealed
        await self.until(lambda: job in client.follower.jobs, "the client sees its job")
        return job


@asynccontextmanager
async def open_world(deployments: Path, *, home: Path | None = None, url: str = "", clock: Clock | None = None) -> AsyncIterator[World]:
    """An empty network; `deployments` is a folder for the deployment file."""
    clock = clock or (ManualClock() if home is None else SystemClock())
    founder = AccountKey(sha256(b"founder"))
    ledger: Ledger = await JsonRpcLedger.open([url], MemoryJournal()) if url else MemoryLedger(clock)
    parameters = Parameters(holder=founder.address, treasury=founder.address, max_gap=604_800)
    placed = await deployment.deploy(ledger, founder, parameters, deployments / "deployment.json")
    world = World(clock, ledger, placed, founder, home, url)
    try:
        yield world
    finally:
        await world.close()


def trainer(
    seed: int, *, schema: Schema = SCHEMA, kind: type[TrainerNode] = TrainerNode, held: Examples | None = None, **options: Any
) -> Make:
    """A site with rows of its own; `options` go to its node."""
    held = rows(seed) if held is None else held
    return lambda parts: kind(parts, schema, held, examples.digest(held, sha256(b"salt %d" % seed)), disclose_rows=True, **options)


async def populate(
    world: World, pool: WorkerPool, *, trainers: int = 3, coordinators: Sequence[str] = ("coordinator", "standby"), verifiers: int = 3
) -> None:
    """The usual company: client, trainers t0.., coordinators by name, verifiers v0..; who comes first is primary."""
    await world.add("client", ClientNode, pool)
    for name in coordinators:
        await world.add(name, CoordinatorNode, pool)
    for number in range(trainers):
        await world.add(f"t{number}", trainer(number), pool)
    for number in range(verifiers):
        await world.add(f"v{number}", VerifierNode, pool)
