"""The coordinator: gathers updates, sums them exactly, anchors the round, and is believed by nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from hansa.core.encoding import decode, encode
from hansa.core.errors import ProtocolError
from hansa.core.ports import Handler
from hansa.core.types import Address, Digest, Envelope, Role, Wei
from hansa.identity.statements import UpdateReceipt
from hansa.model.state import ModelState
from hansa.node.ballots import read_ballot, read_measurement
from hansa.node.book import Drafted, Received, Took
from hansa.node.intake import read_submission
from hansa.node.node import Node, model_ref
from hansa.rounds import duties, manifest
from hansa.rounds.anchor import Anchor, updates_root
from hansa.rounds.assemble import Outcome, draft, outcome
from hansa.rounds.coordinator import coordinator_duties
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted, Manifest, credit_rows
from hansa.rounds.spec import JobSpec


class CoordinatorNode(Node):
    """Primary or standby, as the ledger says from round to round."""

    role = Role.COORDINATOR

    def owed(self, job: JobState) -> Sequence[Duty]:
        return coordinator_duties(job, self.account, self.book.coordinator(job.id), self.now())

    def handlers(self) -> Mapping[str, Handler]:
        return {**super().handlers(), "update": self._take, "verdict": self._hear, "evaluation": self._hear_evaluation}

    async def perform(self, duty: Duty) -> None:
        match duty:
            case duties.Assemble():
                await self._assemble(self.job(duty.job), duty)
            case duties.Collect():
                await self._collect(self.job(duty.job), duty)
            case _:
                await super().perform(duty)

    async def _take(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "update": store, journal, then promise; the same update again gets a new receipt for the present attempt."""
        job = self.follower.jobs.get(envelope.job)
        if job is None or job.coordinator != self.account:
            raise ProtocolError("this node is not the coordinator in office; look at the ledger")
        spec, _ = await self.spec(job)
        accepted, data = read_submission(envelope, body, job, spec, self.parts.domain, self.follower.directory)
        said = accepted.statement
        known = self.book.took[job.id][(said.round, said.base)].get(said.trainer)
        if known is None:
            await self.blobs.keep(job.id, data, self.until(job), open=False)
            self.book.write(Took(accepted))
            self._wake.set()
        elif known.statement != said:
            raise ProtocolError("another update of yours was accepted for this round; the first one counts")
        receipt = UpdateReceipt(job.id, said.round, job.attempt, said.trainer, said.update)
        return encode(Received(receipt, self.account, receipt.sign(self.parts.domain, self.parts.signer)))

    async def _hear(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "verdict"."""
        self.book.write(
            read_ballot(body, self.follower.jobs.get(envelope.job), self.parts.contracts, self.parts.domain, self.follower.directory)
        )
        self._wake.set()
        return b"{}"

    async def _hear_evaluation(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "evaluation"."""
        job = self.follower.jobs.get(envelope.job)
        self.book.write(read_measurement(body, job, self.parts.contracts, self.parts.domain, self.follower.directory))
        return b"{}"

    async def _collect(self, job: JobState, duty: duties.Collect) -> None:
        """Registered updates that their trainers left with the verifiers (R5)."""
        spec, _ = await self.spec(job)
        for trainer in duty.trainers:
            for verifier in job.verifiers:
                peer = self.follower.directory.peer(Address(verifier))
                reply = await self.parts.transport.request(peer, "left", trainer.encode(), job=job.id, round=job.round, timeout=5.0)
                if not reply:
                    continue
                accepted = decode(reply, Accepted)
                said = accepted.statement
                if said.update != job.registered_now().get(trainer) or (said.round, said.base) != (job.round, job.base):
                    continue
                data = await self.blobs.get(accepted.ref, [Address(each) for each in job.verifiers])
                await self.blobs.keep(job.id, data, self.until(job), open=False)
                self.book.write(Took(accepted))
                break

    async def _assemble(self, job: JobState, duty: duties.Assemble) -> None:
        """Every blob is stored here and promised by a second holder before the anchor that names it is drafted (R17)."""
        spec, _ = await self.spec(job)
        accepted = [self.book.took[job.id][(job.round, job.base)][trainer] for trainer in duty.trainers]
        blobs = {each.statement.update: await self.blobs.own(each.ref) for each in accepted}
        base = await self.model(job, spec, job.round)
        before = (await self.manifest(job, job.round - 1)).credit_table() if job.round > 1 else {}
        made = await asyncio.to_thread(self.result, spec, job, base, accepted, blobs, before)
        anchor = await self._publish(job, spec, accepted, blobs, made)
        self.book.write(Drafted(anchor))

    def result(
        self, spec: JobSpec, job: JobState, base: ModelState, accepted: Sequence[Accepted], blobs: Mapping[bytes, bytes],
        before: Mapping[Address, Wei],
    ) -> Outcome:  # fmt: skip
        """What the round comes to; the one step in which a coordinator could lie (see `simulation.liar`)."""
        return outcome(spec, job, base, accepted, blobs, before, self.account)

    async def _publish(
        self, job: JobState, spec: JobSpec, accepted: Sequence[Accepted], blobs: Mapping[bytes, bytes], made: Outcome
    ) -> Anchor:
        until = self.until(job)
        aggregate = await self.blobs.keep(job.id, made.aggregate, until, open=False)
        model = await self.blobs.keep(job.id, made.model, until, open=True)
        others = [Address(each) for each in (*job.coordinators, *job.verifiers) if each != self.account]
        pieces = [(each.ref, blobs[each.statement.update], False) for each in accepted]
        pieces += [(aggregate, made.aggregate, False), (model, made.model, True)]
        await asyncio.gather(*(self.blobs.place(job, ref, data, until, others, open=open) for ref, data, open in pieces))
        held = tuple(next(iter(self.book.placed[ref.digest].values())) for ref, _, _ in pieces)
        page = Manifest(
            job=job.id, round=job.round, attempt=job.attempt, coordinator=self.account, base=model_ref(job, spec, job.round),
            updates=tuple(accepted), aggregate=aggregate, model=model, credits=credit_rows(made.credits), held=held,
        )  # fmt: skip
        written = manifest.write(page)
        listing = await self.blobs.keep(job.id, written, until, open=True)
        await self.blobs.place(job, listing, written, until, others, open=True)
        roots = (updates_root(each.statement for each in accepted), Digest(listing.digest), Digest(aggregate.digest), Digest(model.digest))
        return draft(job, made, roots, listing.size, len(accepted))
