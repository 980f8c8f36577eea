"""The coordinator: gathers updates, sums them exactly, anchors the round, and is believed by nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from hansa.core.encoding import decode, encode
from hansa.core.errors import ProtocolError
from hansa.core.ports import Handler
from hansa.core.types import Address, BlobRef, Digest, Envelope, Role
from hansa.identity.statements import UpdateReceipt
from hansa.node.blobs import name_of
from hansa.node.hearing import Hearing
from hansa.node.intake import check_update, reached, read_submission
from hansa.node.lent import Lent
from hansa.node.node import LAG, Parts, model_ref
from hansa.node.records import Absent, Drafted, Guarded, Received, Took
from hansa.rounds import duties, manifest
from hansa.rounds.anchor import Anchor, updates_root
from hansa.rounds.assemble import Outcome, Standing, draft, outcome
from hansa.rounds.coordinator import coordinator_duties
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.manifest import Accepted, Held, Manifest, credit_rows
from hansa.rounds.spec import JobSpec
from hansa.rounds.staleness import Used, takeable, window


class Recall(Duty, frozen=True):
    """Look up what an asynchronous job's round may take."""

    round: int


class CoordinatorNode(Hearing):
    """Primary or standby, as the ledger says from round to round."""

    role = Role.COORDINATOR

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._sums: dict[int, tuple[tuple[int, int], frozenset[str]]] = {}
        """Job to the (round, attempt) that is being summed now, and whose updates are in it."""
        self._recalled: dict[int, tuple[int, bytes, int | None, Used]] = {}
        """Job to the round and base for which it was looked up how stale updates may be, and which ones earlier rounds took."""

    def owed(self, job: JobState) -> Sequence[Duty]:
        if self.account not in job.coordinators:
            return []
        own, recalled = self.book.coordinator(job.id), self._recalled.get(job.id)
        if job.phase is Phase.OPEN:
            if recalled is None or recalled[:2] != (job.round, job.base):
                spec = self.known_spec(job)
                if spec is None or spec.asynchronous:
                    return [Recall(job.id, job.round)]
            else:
                own = replace(own, staleness=recalled[2], used=recalled[3])
        return coordinator_duties(job, self.account, own, self.now())

    def handlers(self) -> Mapping[str, Handler]:
        return {**super().handlers(), "update": self._take}

    async def perform(self, duty: Duty) -> None:
        match duty:
            case Recall():
                await self._recall(self.job(duty.job))
            case duties.Assemble():
                await self._assemble(self.job(duty.job), duty)
            case duties.Collect():
                await self._collect(self.job(duty.job), duty)
            case _:
                await super().perform(duty)

    async def _recall(self, job: JobState) -> None:
        """What the job's spec says of stale updates, and, if it takes any, which of them earlier rounds took."""
        spec, _ = await self.spec(job)
        used = await self.used(job, spec)
        self._recalled[job.id] = (job.round, job.base, spec.staleness if spec.asynchronous else None, used)

    async def _take(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "update": store, journal, then promise; the same update again gets a new receipt for the present attempt."""
        job = await self.follower.until(envelope.job, lambda job: reached(envelope, job), LAG)
        if job is None or job.coordinator != self.account:
            raise ProtocolError("this node is not the coordinator in office; look at the ledger")
        spec, _ = await self.spec(job)
        job = self.job(job.id)
        accepted, data = await read_submission(envelope, body, job, spec, self.parts.domain, self.follower.directory)
        said = accepted.statement
        async with self.desk(said.trainer):
            known = self.book.took[job.id][(said.round, said.base)].get(said.trainer)
            if known is not None and known.statement != said:
                raise ProtocolError("another update of yours was accepted for this round; the first one counts")
            if known is None:
                self._check_in_sum(job, said.trainer)
                await self._keep(job, accepted, bytes(data))
        now = self.job(job.id)
        taken = window(now, spec.staleness).get(said.round) == said.base
        if now.phase is not Phase.OPEN or not taken or now.coordinator != self.account:
            raise ProtocolError("the round went on while your update was stored; look at the ledger")
        # A receipt says that the update counts in this attempt: none for what came after the sum was begun.
        self._check_in_sum(now, said.trainer)
        receipt = UpdateReceipt(job.id, now.round, now.attempt, said.trainer, said.update)
        return encode(Received(receipt, self.account, receipt.sign(self.parts.domain, self.parts.signer)))

    def _check_in_sum(self, job: JobState, trainer: str) -> None:
        at = (job.round, job.attempt)
        begun, trainers = self._sums.get(job.id, (at, None))
        late = trainer not in trainers if begun == at and trainers is not None else at in self.book.drafts[job.id]
        if late:
            raise ProtocolError(f"round {job.round} is being summed; your update came too late for it")

    async def _keep(self, job: JobState, accepted: Accepted, data: bytes) -> None:
        """Journal an update with its blob, and bring it to a second holder at once: it must have one before the anchor (R17)."""
        ref = await self.blobs.put(data)
        await self.book.write(*self.blobs.guard(job.id, ref, self.until(job), open=False), Took(accepted))
        self.blobs.begin_placing(job, ref, None, self._others(job), open=False)
        self._wake.set()

    def _others(self, job: JobState) -> list[Address]:
        """Who may be second holder of the job's blobs."""
        return [Address(each) for each in (*job.standbys, *job.verifiers) if each != self.account and each not in job.removed]

    async def _collect(self, job: JobState, duty: duties.Collect) -> None:
        """Registered updates that their trainers left with the verifiers, or the word of verifiers that they hold none (R5)."""
        spec, _ = await self.spec(job)
        asked = [(Address(verifier), trainer) for trainer in duty.trainers for verifier in job.verifiers]
        results = await asyncio.gather(*(self._ask(job, spec, *each) for each in asked), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _ask(self, job: JobState, spec: JobSpec, verifier: Address, trainer: str) -> None:
        """One verifier for what one trainer left there."""
        peer = self.follower.directory.peer(verifier)
        reply = await self.parts.transport.request(peer, "left", trainer.encode(), job=job.id, round=job.round, timeout=5.0)
        at = (job.round, job.attempt)
        if not reply:
            if verifier not in self.book.absent[job.id][at].get(trainer, ()):
                await self.book.write(Absent(job.id, *at, trainer, verifier))
            return
        accepted = decode(reply, Accepted)
        if accepted.statement.trainer != trainer:
            raise ProtocolError(f"{verifier} answered with the update of another trainer than was asked for")
        data = await self.blobs.get(accepted.ref, [verifier, *(Address(each) for each in job.verifiers)])
        # The verifier's word is not taken for it: a false update in the sum would be this coordinator's fault.
        check_update(accepted, data, job, spec, self.parts.domain, self.follower.directory)
        async with self.desk(trainer):
            if trainer not in self.book.took[job.id][(job.round, job.base)]:
                await self._keep(job, accepted, data)

    async def _assemble(self, job: JobState, duty: duties.Assemble) -> None:
        """Every blob is stored here and promised by a second holder before the anchor that names it is drafted (R17)."""
        spec, _ = await self.spec(job)
        used = await self.used(job, spec)
        took = dict(sorted(takeable(job, self.book.took[job.id], spec.staleness, used).items()))
        self._sums[job.id] = ((job.round, job.attempt), frozenset(took))
        try:
            accepted = list(took.values())
            before = await self.standing(job, spec)
            updates = Lent(self.blobs, [each.ref for each in accepted])
            made = await asyncio.to_thread(self.result, spec, job, before, accepted, updates)
            anchor, guards = await self._publish(job, spec, accepted, made)
            now = self.job(job.id)
            still = (now.phase, now.round, now.attempt, now.base, now.coordinator)
            if still != (Phase.OPEN, job.round, job.attempt, job.base, self.account):
                raise ProtocolError("the job went on while its round was summed; nothing is anchored")
            await self.book.write(*guards, Drafted(anchor))
        finally:
            del self._sums[job.id]

    def result(self, spec: JobSpec, job: JobState, before: Standing, accepted: Sequence[Accepted], blobs: Mapping[bytes, bytes]) -> Outcome:
        """What the round comes to; the one step in which a coordinator could lie (see `simulation.liar`)."""
        return outcome(spec, job, before, accepted, blobs, self.account)

    async def _publish(self, job: JobState, spec: JobSpec, accepted: Sequence[Accepted], made: Outcome) -> tuple[Anchor, list[Guarded]]:
        """The anchor, every blob of which is on two disks, and what lets others read those that are new here."""
        until, others, guards = self.until(job), self._others(job), list[Guarded]()

        async def settle(data: bytes, *, open: bool) -> tuple[BlobRef, Held]:
            """Stored here and at a second holder, both at once."""
            ref = await name_of(data)
            guards.extend(self.blobs.guard(job.id, ref, until, open=open))
            held, _ = await asyncio.gather(self.blobs.place(job, ref, data, others, open=open), self.blobs.put(data))
            return ref, held

        async def promised(each: Accepted) -> Held:
            return await self.blobs.place(job, each.ref, None, others, open=False)

        new = [(made.aggregate, False), (made.model, True), *([(made.server, True)] if made.server else [])]
        settled, updates = await asyncio.gather(
            asyncio.gather(*(settle(data, open=open) for data, open in new)), asyncio.gather(*(promised(each) for each in accepted))
        )
        aggregate, model, *server = (ref for ref, _ in settled)
        page = Manifest(
            job=job.id, round=job.round, attempt=job.attempt, coordinator=self.account, base=model_ref(job, spec, job.round),
            updates=tuple(accepted), aggregate=aggregate, model=model, credits=credit_rows(made.credits),
            held=(*updates, *(held for _, held in settled)), server=server[0] if server else None, left_out=made.left_out,
        )  # fmt: skip
        listing, _ = await settle(manifest.write(page), open=True)
        roots = (updates_root(each.statement for each in accepted), Digest(listing.digest), Digest(aggregate.digest), Digest(model.digest))
        return draft(job, made, roots, listing.size, len(accepted)), guards
