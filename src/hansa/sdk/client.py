"""A network as anyone sees it, and one account at work in it: post a job, watch it, publish its model, have it audited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from hansa.catalog import models
from hansa.catalog.listing import ListedModel, find_listed, list_models
from hansa.catalog.models import Version
from hansa.chain import deployment
from hansa.chain.cursor import Cursor
from hansa.chain.deployment import Contracts, Deployment
from hansa.chain.ledger import JsonRpcLedger
from hansa.core.clock import SystemClock
from hansa.core.encoding import canonical, sha256
from hansa.core.errors import ConfigError, ProtocolError
from hansa.core.ports import Ledger
from hansa.core.types import Address, BlobRef
from hansa.identity.keystore import write_private
from hansa.learning.metrics import Evaluation
from hansa.market import membership, posting
from hansa.market import order as orders
from hansa.market.acceptance import Sealed, seal
from hansa.market.membership import Standing
from hansa.market.order import Order, Parent
from hansa.model.state import ModelState
from hansa.monitoring.audit import AuditReport, audit, find_model
from hansa.node.client import ClientNode
from hansa.node.compose import compose
from hansa.node.config import load_node
from hansa.node.follower import Follower
from hansa.rounds.job import JobState, Phase
from hansa.rounds.spec import write_spec
from hansa.runtime.journal import MemoryJournal

LOOK = 0.5
"""Seconds at most between looks at a job that is watched."""

FINISHED = 1
"""The ledger's reason of a job that closed because every milestone was settled."""


class Observer:
    """A network as anyone sees it; needs no key. Made by `open_network`."""

    def __init__(self, ledger: Ledger, placed: Deployment, follower: Follower) -> None:
        self.ledger, self.contracts, self.follower = ledger, Contracts.of(placed), follower
        self._first = placed.block

    @property
    def jobs(self) -> Mapping[int, JobState]:
        """Every job on the ledger, by its number."""
        return self.follower.jobs

    def job(self, number: int) -> JobState:
        """ProtocolError when the ledger has no such job."""
        if number not in self.jobs:
            raise ProtocolError(f"there is no job {number} on this ledger; `hansa job list` shows those there are")
        return self.jobs[number]

    def name(self, account: str) -> str:
        """The registered name behind an account."""
        return self.follower.directory.name(Address(account))

    async def watch(self, number: int) -> AsyncIterator[JobState]:
        """The job now and after each change, until it is closed."""
        last: JobState | None = None
        while last is None or last.phase is not Phase.CLOSED:
            state = self.job(number)
            if state != last:
                last = state
                yield state
            else:
                await self._news()

    async def _news(self) -> None:
        await self.follower.change(LOOK)

    async def standing(self, account: Address) -> Standing:
        """Stake, balance, credits and registration of an account."""
        return await membership.standing(self.ledger, self.contracts, account)

    async def models(self) -> list[ListedModel]:
        """Every model in the registry."""
        return await list_models(self.ledger, self.contracts, self._first)

    async def model(self, number: int) -> ListedModel:
        """One model with its versions; ProtocolError when there is none of that number."""
        return await find_listed(self.ledger, self.contracts, self._first, number)


class Client(Observer):
    """One account at work: its node answers for its blobs as long as the client is open. Made by `open_client`."""

    def __init__(self, node: ClientNode, placed: Deployment, running: asyncio.Task[None], folder: Path) -> None:
        super().__init__(node.parts.ledger, placed, node.follower)
        self.node, self._running, self.folder = node, running, folder
        self.account = node.account
        for path in sorted((folder / "orders").glob("*.json")):
            posted = msgspec.json.decode(path.read_bytes(), type=_Posted)
            if posted.job:
                node.sealed[posted.job] = posted.sealed

    async def watch(self, number: int) -> AsyncIterator[JobState]:
        """As everyone sees it; the client's own finished job goes on until every milestone is accepted, for two windows at most."""
        async for state in super().watch(number):
            yield state
        until = time.monotonic() + 2 * self.job(number).terms.window
        while self._unjudged(self.job(number)) and time.monotonic() < until:
            await self._news()
        if self.job(number) != state:
            yield self.job(number)

    def _unjudged(self, job: JobState) -> bool:
        return job.closed == FINISHED and job.id in self.node.sealed and len(job.accepted) < job.terms.milestones

    async def _news(self) -> None:
        if self._running.done():
            await self._running
        await super()._news()

    async def balances(self) -> Standing:
        """What this account owns, staked and is owed."""
        return await self.standing(self.account)

    async def publish_blob(self, data: bytes) -> BlobRef:
        """Keep a blob and serve it to the network's nodes."""
        return await self.node.offer(data)

    async def post(self, order: Order, folder: Path, *, again: str = "", parent: Parent | None = None) -> int:
        """Put an order on the market and return the job's number; `folder` is what its paths are relative to.

        The same order is posted once, whatever crashes on the way, unless `again` tells one posting from another. ConfigError, DataError
        or FormatError before anything is sent when the order does not hold together, costs more than the balance, or is late. The job
        starts from the order's initial model, or from a `parent`, which its own model then has to beat.
        """
        intent = f"order/{sha256(canonical(_plain(order)) + again.encode()).hex()[:32]}"
        record = self.folder / "orders" / f"{intent.partition('/')[2]}.json"
        prepared = await asyncio.to_thread(orders.prepare, order, folder)
        prepared = prepared if parent is None else orders.descend(prepared, parent)
        genesis, progress = await self.node.offer(prepared.genesis), await self.node.offer(prepared.progress)
        if prepared.adapted:
            await self.node.offer(prepared.adapted)
        spec = await self.node.offer(write_spec(orders.specification(order, prepared, genesis, progress)))
        resumed = record.exists()
        if resumed:
            placed = msgspec.json.decode(record.read_bytes(), type=_Posted)
        else:
            refs = [await self.node.offer(shard) for shard in prepared.sealed]
            # The salts must outlive a crash from here on: without them no shard could ever be opened.
            placed = _Posted(0, seal(self.ledger.chain_id, self.contracts.acceptance.address, self.account, refs))
            write_private(record, msgspec.json.encode(placed))
        if placed.job:
            return placed.job
        now = await self.contracts.clock.time().read(self.ledger)
        terms = orders.terms(order, now, spec, genesis, placed.sealed.root())
        try:
            job = await posting.post(
                self.ledger, self.contracts, self.node.parts.signer, spec, [self.account], terms, order.budgets(), intent=intent,
                resumed=resumed,
            )  # fmt: skip
        except ConfigError:
            if not resumed:
                record.unlink()  # nothing was sent
            raise
        write_private(record, msgspec.json.encode(_Posted(job, placed.sealed)))
        self.node.sealed[job] = placed.sealed
        while job not in self.jobs:
            await self._news()
        return job

    async def measure(self, job: int, round: int) -> Evaluation:
        """The model after a final round, on the job's public rows."""
        return await self.node.evaluate(self.job(job), round)

    async def fetch(self, job: int, ref: BlobRef) -> bytes:
        """A blob of a job, verified, from whoever holds it."""
        state = self.job(job)
        return await self.node.blobs.get(ref, self.node.holders(state))

    async def take(self, job: int) -> ModelState:
        """A finished job's last model, ready for use: an adapter's is merged into the model that it adapts, and then needs it no more."""
        return await self.node.take(self.job(job))

    async def audit(self, what: int | bytes) -> AuditReport:
        """How a job's last model, or the model of this digest, came to be."""
        if isinstance(what, int):
            state = self.job(what)
            last = len(state.final)
            if not last:
                raise ProtocolError(f"job {what} has no final round yet; there is nothing to audit")
        else:
            state, last = find_model(self.jobs, what)
        anchored = {(number, attempt): event for (job, number, attempt), event in self.follower.anchors.items() if job == state.id}
        transactions = {place: event.transaction for place, event in anchored.items()}

        async def get(ref: BlobRef) -> bytes:
            return await self.fetch(state.id, ref)

        spec, _ = await self.node.spec(state)
        account_of = self.follower.directory.account_of
        return await audit(state, last, get, self.node.parts.domain, account_of, transactions, spec.staleness)

    async def publish(self, job: int, title: str) -> int:
        """Put a job's final model into the registry as a candidate, approved at once if its verifiers accepted it; its number."""
        state = self.job(job)
        if len(state.final) < state.terms.rounds:
            raise ProtocolError(f"job {job} has {len(state.final)} of {state.terms.rounds} final rounds; its model is not finished")
        version = self.version(state)
        signer, intent = self.node.parts.signer, f"publish/{job}"
        model = await models.publish(self.ledger, self.contracts, signer, state.terms.spec, version, title=title, intent=intent)
        if any(accepted == version.artifact.digest for _, accepted in state.accepted):
            await models.approve(self.ledger, self.contracts, signer, model, version.artifact.digest, intent=intent)
        return model

    def version(self, state: JobState, *parents: bytes) -> Version:
        """A finished job's model as a version to publish."""
        final = state.final[-1].anchor
        opened = [shard for milestone, shard in state.shards if milestone == state.terms.milestones - 1]
        return Version(
            BlobRef(final.model, final.model_size), parents, final.manifest, opened[0] if opened else bytes(32), f"hansa:job/{state.id}"
        )


class _Posted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client keeps of an order: the job's number once it is known, and the secrets of its acceptance shards."""

    job: int
    sealed: Sealed


def _plain(order: Order) -> object:
    return msgspec.to_builtins(order)


@asynccontextmanager
async def open_network(endpoints: Sequence[str], deployment_file: Path) -> AsyncIterator[Observer]:
    """Look at a network through its chain alone. LedgerUnreachable, WrongChain or ConfigError when it is not there or not this one."""
    ledger = await JsonRpcLedger.open(endpoints, MemoryJournal())
    try:
        placed = await deployment.load(ledger, deployment_file)
        contracts = Contracts.of(placed)

        async def nets(first: int, milestones: int) -> tuple[int, ...]:
            return await posting.nets(ledger, contracts, first, milestones)

        follower = Follower(Cursor(ledger, placed.events(), first_block=placed.block), nets)
        await follower.catch_up()
        async with follower.running():
            yield Observer(ledger, placed, follower)
    finally:
        await ledger.close()


@asynccontextmanager
async def open_client(config: Path) -> AsyncIterator[Client]:
    """Act as the client whose home holds this configuration; its node listens and serves until the block ends."""
    loaded, folder = load_node(config), config.resolve().parent
    if loaded.role != "client":
        raise ConfigError(f"{config} is a {loaded.role}'s; jobs are posted and watched with a client's, see `hansa node new --role client`")
    node = ClientNode(await compose(loaded, folder, SystemClock()))
    placed = await deployment.load(node.parts.ledger, folder / loaded.chain.deployment)
    stop, serving = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(node.run(stop, lambda url: serving.set()))
    waiting = asyncio.create_task(serving.wait())
    try:
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        client = Client(node, placed, running, folder)
        while not node.follower.healthy:
            await client._news()
        yield client
    finally:
        waiting.cancel()
        stop.set()
        await running
