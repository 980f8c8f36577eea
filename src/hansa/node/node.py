"""What every role has in common: the parts it is made of, the loop from state to duties, and the duties that any of them may do."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from hansa.chain.deployment import Contracts
from hansa.core.clock import Clock
from hansa.core.encoding import decode
from hansa.core.errors import FormatError, HansaError, LedgerError, ProtocolError
from hansa.core.ports import Beacon, BlobStore, Call, Handler, Journal, Ledger, RangeHandler, Receipt, Signer, Transport
from hansa.core.types import Address, BlobRef, Role
from hansa.identity.typed import Domain
from hansa.learning.metrics import Evaluation
from hansa.market.claims import claim_calls
from hansa.market.posting import Posting
from hansa.model import codec, vectors
from hansa.model.state import ModelState
from hansa.node.beginning import check_size, frozen_model, keep_frozen, keep_public
from hansa.node.blobs import IN_MEMORY, MAX_UPLOAD, Blobs
from hansa.node.book import Book
from hansa.node.executor import Executor
from hansa.node.follower import Follower
from hansa.node.measure import measure
from hansa.node.obligations import Enrol, Expose, Tick, exposure, exposures, ticks
from hansa.node.recent import Recent
from hansa.node.records import Claimed, Forgotten, Leaving
from hansa.node.status import Status
from hansa.node.transactions import upkeep_call
from hansa.rounds import duties, manifest
from hansa.rounds.anchor import Anchor
from hansa.rounds.assemble import Standing
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.manifest import Manifest
from hansa.rounds.spec import MAX_SPEC, JobSpec, read_spec
from hansa.rounds.staleness import Used, used_by
from hansa.rounds.trainer import parting
from hansa.runtime.on_demand import Workers

log = logging.getLogger(__name__)

TICK = 0.2
"""Seconds between looks at the clock; every deadline is met within this."""
HOUSEKEEPING = 600.0
"""Seconds between looks for what may be deleted."""
LAG = 1.0
"""Seconds for which a message that is ahead of this node's view of the ledger waits for the ledger."""
_PAGE = 64 << 10


@dataclass(frozen=True)
class Parts:
    """The ports and state that `compose` wires together for one node."""

    name: str
    account: Address
    signer: Signer
    ledger: Ledger
    contracts: Contracts
    domain: Domain
    book: Book
    beacon: Beacon
    store: BlobStore
    transport: Transport
    follower: Follower
    clock: Clock
    scratch: Path
    status: Status = field(default_factory=Status)
    workers: Workers | None = None
    auto_enrol: bool = True
    standby: bool = False
    journal: Journal | None = None


class Node:
    """One role of one party; subclasses name the role's duties, handlers and how each duty is done."""

    role: Role | None = None

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.follower, self.book, self.account = parts.follower, parts.book, parts.account
        self.blobs = Blobs(
            parts.store, parts.book, parts.transport, parts.follower.directory, parts.domain, parts.signer, parts.account,
            parts.follower.jobs.get, parts.scratch, self.until, self._allowance,
        )  # fmt: skip
        self._specs: dict[int, tuple[JobSpec, BlobRef]] = {}
        self._desks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._models: Recent[ModelState] = Recent(IN_MEMORY, lambda model: model.vector.nbytes)
        self._manifests: Recent[Manifest] = Recent(16, lambda _: 1)
        self._max_gap: int | None = None
        self._ticked = 0
        self._wake = asyncio.Event()
        self._executor = Executor(self._perform_logged, self._wake.set, self._failed)

    def now(self) -> float:
        """Protocol time: the wall clock less what the chain's outages extended (R16)."""
        return self.parts.clock.now() - self.follower.extension

    def owed(self, job: JobState) -> Sequence[Duty]:
        raise NotImplementedError

    async def perform(self, duty: Duty) -> None:
        """Do one duty; the default covers those that are one transaction of the ledger's."""
        match duty:
            case duties.Claim():
                await self._claim(self.job(duty.job), duty)
            case duties.Release(job):
                await self.send(self.parts.contracts.cohort.release(job, (self.account,)), duty)
            case Enrol():
                await self._enrol(self.job(duty.job), duty)
            case Expose():
                await self.send(exposure(self.parts.contracts, self.book, duty), duty)
            case Tick():
                await self._tick(duty)
            case _:
                await self.send(upkeep_call(self.parts.contracts, duty), duty)

    def handlers(self) -> Mapping[str, Handler]:
        return {"hold": self.blobs.hold, "outline": self.blobs.outline}

    def ranges(self) -> RangeHandler | None:
        """What serves parts of blobs; None for who serves none."""
        return self.blobs.read

    async def run(self, stop: asyncio.Event, ready: Callable[[str], None]) -> None:
        """Serve, follow, and carry out duties until told to stop; what was under way is taken up again at the next start."""
        try:
            url = await self.parts.transport.serve(self.handlers(), self.ranges())
            async with self.follower.running(), asyncio.TaskGroup() as group:
                aside = (group.create_task(self._watch()), group.create_task(self._keep_house()))
                ready(url)
                while not stop.is_set():
                    self._wake.clear()
                    if self.follower.healthy:
                        self._executor.carry_out(await self._due())
                    await _first(stop.wait(), self._wake.wait(), timeout=TICK)
                for task in aside:
                    task.cancel()
        finally:
            await self._executor.close()
            await self.blobs.close()
            await self.parts.transport.close()
            await self.parts.ledger.close()
            await self.book.close()
            if self.parts.workers is not None:
                await self.parts.workers.close()
            if self.parts.journal is not None:
                self.parts.journal.close()

    async def _watch(self) -> None:
        while True:
            await self.follower.change(3600.0)
            self._wake.set()

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING)
            try:
                await self.tidy()
            except HansaError as error:
                log.warning("not tidied", extra={"error": str(error)})

    async def tidy(self) -> int:
        """Forget jobs that are over for good and delete blobs that none needs any longer; the bytes freed."""
        freed = await self.blobs.tidy(self.parts.clock.now())
        for job in list(self.follower.jobs.values()):
            if job.id not in self.book.forgotten and self._over(job):
                await self.book.write(Forgotten(job.id))
                self._specs.pop(job.id, None)
                self.blobs.forget(job.id)
        return freed

    def _over(self, job: JobState) -> bool:
        """Past every dispute, and this account has its stake and its money."""
        if job.phase is not Phase.CLOSED or self.parts.clock.now() <= self.until(job):
            return False
        return not job.has_member(self.account) or not parting(job, self.account, frozenset(self.book.claimed.get(job.id, ())))

    async def _due(self) -> list[Duty]:
        if self._max_gap is None:
            try:
                self._max_gap = await self.parts.contracts.clock.max_gap().read(self.parts.ledger)
            except LedgerError:
                return []
        return [duty for job in list(self.follower.jobs.values()) for duty in self._all_owed(job)]

    def _all_owed(self, job: JobState) -> list[Duty]:
        """What the role owes, and what every member does: enrol, keep the clock going, show who contradicted itself."""
        if job.id in self.book.forgotten:
            return []
        due = [*self.owed(job), *exposures(job, self.account, self.book, self.now())]
        if self._may_enrol(job):
            due.append(Enrol(job.id))
        if self._max_gap is not None:
            last = max(self.follower.moved, self._ticked)
            due += ticks(job, self.account, last, self._max_gap, self.parts.clock.now())
        return due

    async def _tick(self, duty: Tick) -> None:
        """Unless somebody else did meanwhile: a tick leaves no event."""
        clock, ledger = self.parts.contracts.clock, self.parts.ledger
        last = await clock.last().read(ledger)
        if last <= duty.since:
            receipt = await self.send(clock.tick(), duty)
            last = (await ledger.block(receipt.block)).timestamp
        self._ticked = max(self._ticked, last)

    def _may_enrol(self, job: JobState) -> bool:
        if self.role is None or not self.parts.auto_enrol or job.has_member(self.account) or self.now() >= job.enrol_until():
            return False
        if job.phase is Phase.ENROLLING:
            return not self.parts.standby or bool(job.coordinators)
        # A job that runs takes trainers; one in its last round only if that cannot end without.
        useful = job.running and (len(job.final) + 1 < job.terms.rounds or (job.phase is Phase.OPEN and job.deserted))
        return self.role is Role.TRAINER and useful and len(job.present) < job.terms.max_trainers

    async def _perform_logged(self, duty: Duty) -> None:
        # The state may have moved on since this was scheduled; from here to the first await nothing can change.
        due = next((each for each in self._all_owed(self.job(duty.job)) if each.name == duty.name), None)
        if due is None:
            return
        started = time.perf_counter()
        await self.perform(due)
        seconds = time.perf_counter() - started
        self.parts.status.done(kind_of(duty), seconds)
        log.info("done", extra={"duty": duty.name, "seconds": round(seconds, 4)})

    def _failed(self, duty: Duty, error: Exception, tries: int) -> None:
        self.parts.status.failed(kind_of(duty))
        trace = None if isinstance(error, HansaError) else error  # an error of the tree says all in its sentence
        log.warning("failed", extra={"duty": duty.name, "error": f"{type(error).__name__}: {error}", "tries": tries}, exc_info=trace)

    @property
    def busy(self) -> int:
        """Duties under way."""
        return self._executor.busy

    def desk(self, account: str) -> asyncio.Lock:
        """One at a time: what is read, judged and written of one party's messages must not be mixed with another of its messages."""
        return self._desks.setdefault(account, asyncio.Lock())

    def job(self, number: int) -> JobState:
        """A job as the ledger tells it now; ProtocolError while it does not."""
        state = self.follower.jobs.get(number)
        if state is None:
            raise ProtocolError(f"job {number} is not on the ledger")
        return state

    async def send(self, call: Call, duty: Duty) -> Receipt:
        """The duty's transaction, once, ever."""
        receipt = await self.parts.ledger.send(call, self.parts.signer, intent=duty.name)
        log.info("sent", extra={"duty": duty.name, "transaction": receipt.transaction.hex(), "gas": receipt.gas_used})
        return receipt

    async def check_eligible(self, job: JobState, spec: JobSpec) -> None:
        """Raise a HansaError to stay out of a job."""

    async def _enrol(self, job: JobState, duty: Duty) -> None:
        if self.role is None:
            return
        spec, _ = await self.spec(job)
        await self.check_eligible(job, spec)
        holders, until = self.holders(job), self.until(job)
        await keep_frozen(self.blobs, job.id, spec, holders, until)
        if self.role is not Role.TRAINER:
            await keep_public(self.blobs, job.id, spec, holders, until)
        commitment = self.parts.beacon.commitment(job.id, self.account) if self.role is Role.VERIFIER else bytes(32)
        await self.send(self.parts.contracts.cohort.enrol(job.id, int(self.role), commitment), duty)

    async def leave(self, number: int) -> None:
        """Give this trainer's seat in a job up; what is open is still worked for. ProtocolError when it has no seat."""
        if self.account not in self.job(number).present:
            raise ProtocolError(f"this node has no trainer's seat in job {number}; there is nothing to leave")
        await self.book.write(Leaving(number))
        self._wake.set()

    async def spec(self, job: JobState) -> tuple[JobSpec, BlobRef]:
        """The job's specification, from whoever the posting names."""
        if job.id not in self._specs:
            kernel = await self.parts.contracts.market.get_job(job.id).read(self.parts.ledger)
            posting = decode(kernel.description.encode(), Posting)
            ref = BlobRef(job.terms.spec, posting.size)
            if not 0 < ref.size <= MAX_SPEC:
                raise FormatError(f"job {job.id} names a specification of {ref.size} bytes; at most {MAX_SPEC} are read")
            if posting.spec != ref.digest.hex():
                raise FormatError(f"job {job.id} names two specifications; it cannot be trusted")
            data = await self.blobs.get(ref, [Address(holder) for holder in (*posting.holders, *job.coordinators)])
            await self.blobs.keep(job.id, data, self.until(job), open=True)
            self._specs[job.id] = (read_spec(data, ref.digest), ref)
        return self._specs[job.id]

    def known_spec(self, job: JobState) -> JobSpec | None:
        """The job's specification if it is at hand."""
        return self._specs[job.id][0] if job.id in self._specs else None

    def until(self, job: JobState) -> int:
        """How long this node keeps a job's blobs: past every dispute."""
        return job.terms.deadline + 8 * job.terms.window

    async def _allowance(self, job: JobState) -> int:
        """Bytes that one party may place here: two attempts at every round, and the blobs of the job itself."""
        spec, _ = await self.spec(job)
        values = 8 * spec.pipeline.summed.layout.size + 24 * spec.layout.size  # aggregate, model, the server's state
        a_round = job.terms.max_trainers * (spec.update_format(job).limit + _PAGE) + values + _PAGE
        return 2 * job.terms.rounds * a_round + (job.terms.milestones + 2) * MAX_UPLOAD

    def holders(self, job: JobState) -> list[Address]:
        """Where a job's blobs are looked for: the coordinator in office, the others, the verifiers, the client."""
        return [Address(each) for each in (job.coordinator, *job.coordinators, *job.candidates, job.client) if each]

    async def model(self, job: JobState, spec: JobSpec, number: int) -> ModelState:
        """The model that round `number` starts from."""
        ref = model_ref(job, spec, number)
        found = self._models.get(ref.digest)
        if found is None:
            check_size("the model", ref, spec.layout)
            found = codec.decode(await self.blobs.get(ref, self.holders(job)), spec.layout)
            self._models.put(ref.digest, found)
        return found

    async def measure(self, job: JobState, spec: JobSpec, state: ModelState, shard: bytes) -> Evaluation:
        """As `measure.measure`, for a model of this job."""
        return await measure(self.parts.workers, spec, state, shard, lambda: frozen_model(self.blobs, spec, self.holders(job)))

    async def standing(self, job: JobState, spec: JobSpec) -> Standing:
        """What the job's current round starts from."""
        base = await self.model(job, spec, job.round)
        if job.round == 1:
            return Standing(base)
        page = await self.manifest(job, job.round - 1)
        return Standing(base, page.credit_table(), await self.server(job, spec, base), await self.used(job, spec))

    async def used(self, job: JobState, spec: JobSpec) -> Used:
        """Updates that the current round would take had no earlier one taken them already."""
        return used_by([await self.manifest(job, number) for number in range(max(1, job.round - spec.staleness), job.round)])

    async def server(self, job: JobState, spec: JobSpec, base: ModelState) -> bytes:
        """The blob of the server's state that the current round starts from; empty when the strategy keeps none, or before round 1."""
        like = spec.strategy.init(base)
        ref = (await self.manifest(job, job.round - 1)).server if like and job.round > 1 else None
        if ref is None:
            return b""
        if ref.size != vectors.size(like):
            raise FormatError(
                f"the manifest of round {job.round - 1} names a server state of {ref.size} bytes; it has {vectors.size(like)}"
            )
        return await self.blobs.get(ref, self.holders(job))

    async def manifest(self, job: JobState, number: int) -> Manifest:
        """The manifest behind final round `number`."""
        return await self.page(job, job.final[number - 1].anchor)

    async def page(self, job: JobState, anchor: Anchor) -> Manifest:
        """The manifest that an anchor names; FormatError when it is none."""
        if anchor.manifest_size > manifest.MAX_MANIFEST:
            raise FormatError(f"the anchor names a manifest of {anchor.manifest_size} bytes; at most {manifest.MAX_MANIFEST} are read")
        found = self._manifests.get(anchor.manifest)
        if found is None:
            found = manifest.read(await self.blobs.get(BlobRef(anchor.manifest, anchor.manifest_size), self.holders(job)))
            self._manifests.put(anchor.manifest, found)
        return found

    async def _claim(self, job: JobState, duty: duties.Claim) -> None:
        table = (await self.manifest(job, (duty.milestone + 1) * job.rounds_per_milestone)).credit_table() if duty.milestone >= 0 else {}
        for part, call in claim_calls(self.parts.contracts, job, self.account, table):
            await self.parts.ledger.send(call, self.parts.signer, intent=f"{duty.name}/{part}")
        await self.book.write(Claimed(job.id, duty.milestone))


def model_ref(job: JobState, spec: JobSpec, number: int) -> BlobRef:
    """The blob of the model that round `number` starts from."""
    if number == 1:
        return spec.genesis
    anchor = job.final[number - 2].anchor
    return BlobRef(anchor.model, anchor.model_size)


def kind_of(duty: Duty) -> str:
    """The duty's kind as figures name it."""
    return type(duty).__name__.lower()


async def _first(*waits: object, timeout: float) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
