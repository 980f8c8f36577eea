"""The verifier: fetches what an anchor names, recomputes it, says what it found, and bonds a challenge when it is wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from hansa.core.encoding import encode
from hansa.core.errors import BlobUnavailable, FormatError, ProtocolError
from hansa.core.ports import Handler
from hansa.core.types import Address, BlobRef, Envelope, Fault, FaultKind, Judgement, Role, Verdict
from hansa.identity.statements import Attestation, Evaluation
from hansa.node.ballots import SignedEvaluation, SignedVerdict, contract_domain, read_ballot, read_measurement
from hansa.node.book import Left, Measured, Published, Voted
from hansa.node.intake import read_submission
from hansa.node.measure import measure
from hansa.node.node import Node
from hansa.rounds import duties, manifest
from hansa.rounds.duties import Ballot, Duty
from hansa.rounds.job import JobState
from hansa.rounds.spec import PPM
from hansa.rounds.verifier import verifier_duties
from hansa.storage import unixfs
from hansa.verification.judge import fault_digest, judge

log = logging.getLogger(__name__)


class VerifierNode(Node):
    role = Role.VERIFIER

    def owed(self, job: JobState) -> Sequence[Duty]:
        seat = job.verifiers.index(self.account) if self.account in job.verifiers else None
        return verifier_duties(job, self.account, self.book.verifier(job.id, seat), self.now())

    def handlers(self) -> Mapping[str, Handler]:
        mine = {"verdict": self._hear, "evaluation": self._hear_evaluation, "leave": self._take_left, "left": self._give_left}
        return {**super().handlers(), **mine}

    async def perform(self, duty: Duty) -> None:
        match duty:
            case duties.Check():
                await self._check(self.job(duty.job), duty)
            case duties.Publish():
                await self._publish(self.job(duty.job), duty)
            case duties.Evaluate():
                await self._evaluate(self.job(duty.job), duty)
            case duties.Accept():
                await self._accept(self.job(duty.job), duty)
            case duties.Reveal(job):
                value, salt = self.parts.beacon.reveal(job, self.account)
                await self.send(self.parts.contracts.cohort.reveal(job, value, salt), duty)
            case _:
                await super().perform(duty)

    async def _check(self, job: JobState, duty: duties.Check) -> None:
        verdict = await self._verdict(job, duty)
        for fault in verdict.faults:
            log.warning("fault", extra={"duty": duty.name, "kind": str(fault.kind), "detail": fault.detail})
        seat = job.verifiers.index(self.account)
        said = Attestation(
            job=job.id, round=duty.round, attempt=duty.attempt, anchor=duty.anchor.digest(), verdict=int(verdict.judgement),
            finding=verdict.digest,
        )  # fmt: skip
        signature = said.sign(contract_domain(self.parts.domain, self.parts.contracts.cohort.address), self.parts.signer)
        ballot = Ballot(seat, verdict.judgement, verdict.digest, signature)
        self.book.write(Voted(job.id, duty.round, duty.attempt, ballot, own=True))

    async def _verdict(self, job: JobState, duty: duties.Check) -> Verdict:
        """BlobUnavailable while blobs cannot be had: then nothing is signed at all, and the anchor lapses if others fare the same (R5)."""
        anchor, coordinator = duty.anchor, Address(job.coordinator)
        spec, _ = await self.spec(job)
        holders = self.holders(job)
        listing = await self.blobs.get(BlobRef(anchor.manifest, anchor.manifest_size), holders)
        try:
            page = manifest.read(listing)
        except FormatError as error:
            kind = FaultKind.WRONG_AGGREGATE
            return Verdict(Judgement.WRONG, fault_digest(anchor, kind), (Fault(coordinator, kind, f"the manifest: {error}"),))
        holders += [Address(held.holder) for held in page.held]
        updates = {each.statement.update: await self.blobs.get(each.ref, holders) for each in page.updates}
        base = await self.model(job, spec, job.round)
        before = (await self.manifest(job, job.round - 1)).credit_table() if job.round > 1 else {}
        verdict = await asyncio.to_thread(
            judge, spec, job, anchor, page, base, updates, before, self.parts.domain, self.follower.directory.account_of, _name
        )
        # The verifier now is a holder too: the next round, an auditor or a standby may ask it (R17).
        until = self.until(job)
        await self.blobs.keep(job.id, listing, until, open=True)
        for data in updates.values():
            await self.blobs.keep(job.id, data, until, open=False)
        if verdict.judgement is Judgement.VALID:
            model = await self.blobs.get(BlobRef(anchor.model, anchor.model_size), holders)
            await self.blobs.get(page.aggregate, holders)
            await self.blobs.keep(job.id, model, until, open=True)
        return verdict

    async def _publish(self, job: JobState, duty: duties.Publish) -> None:
        """To every coordinator and fellow verifier; those that do not answer are tried again until the round is decided."""
        ballot = self.book.own[job.id][(duty.round, duty.attempt)]
        if job.anchor is None:
            return
        said = Attestation(
            job=job.id, round=duty.round, attempt=duty.attempt, anchor=job.anchor.digest(), verdict=int(ballot.judgement),
            finding=ballot.digest,
        )  # fmt: skip
        body = encode(SignedVerdict(said, ballot.seat, ballot.signature))
        await self._tell(job, "verdict", body)
        self.book.write(Published(job.id, duty.round, duty.attempt))

    async def _tell(self, job: JobState, kind: str, body: bytes) -> None:
        directory, transport = self.follower.directory, self.parts.transport
        others = [Address(each) for each in dict.fromkeys((*job.coordinators, *job.verifiers)) if each != self.account]
        results = await asyncio.gather(
            *(transport.request(directory.peer(each), kind, body, job=job.id, round=job.round, timeout=5.0) for each in others),
            return_exceptions=True,
        )
        silent = [directory.name(each) for each, result in zip(others, results, strict=True) if isinstance(result, Exception)]
        if silent:
            raise BlobUnavailable(f"not yet heard by {', '.join(silent)}; trying again")

    async def _hear(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "verdict"."""
        job = self.follower.jobs.get(envelope.job)
        self.book.write(read_ballot(body, job, self.parts.contracts, self.parts.domain, self.follower.directory))
        self._wake.set()
        return b"{}"

    async def _hear_evaluation(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "evaluation"."""
        job = self.follower.jobs.get(envelope.job)
        self.book.write(read_measurement(body, job, self.parts.contracts, self.parts.domain, self.follower.directory))
        return b"{}"

    async def _take_left(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "leave": an update whose coordinator gives no receipt, kept for the one who will be asked about it (R5)."""
        job = self.follower.jobs.get(envelope.job)
        if job is None:
            raise ProtocolError(f"job {envelope.job} is not on the ledger")
        spec, _ = await self.spec(job)
        accepted, data = read_submission(envelope, body, job, spec, self.parts.domain, self.follower.directory)
        await self.blobs.keep(job.id, data, self.until(job), open=False)
        self.book.write(Left(accepted))
        return b"{}"

    async def _give_left(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "left": the statement of an update that a trainer left here, for coordinators."""
        job = self.follower.jobs.get(envelope.job)
        if job is None or self.follower.directory.account_of(Address(envelope.sender)) not in job.coordinators:
            raise ProtocolError("only a coordinator of the job asks for updates left here")
        accepted = self.book.left[job.id].get((job.round, job.base, body.decode(errors="replace")))
        return encode(accepted) if accepted else b""

    async def _evaluate(self, job: JobState, duty: duties.Evaluate) -> None:
        """Metric in parts per million of right answers on the opened shard, signed in the contract's domain (R11)."""
        spec, _ = await self.spec(job)
        guarded = self.book.guarded.get(duty.shard)
        if guarded is None:
            raise BlobUnavailable("the opened shard has not been brought here yet")
        state = await self.model(job, spec, _after(job, duty.milestone))
        found = await measure(self.parts.workers, spec, state, await self.blobs.own(guarded.ref))
        metric = PPM * (found.correct or 0) // found.rows
        least = spec.acceptance.baseline + spec.acceptance.margin
        said = Evaluation(job.id, duty.milestone, duty.model, duty.shard, metric, spec.acceptance.baseline, metric >= least)
        seat = job.verifiers.index(self.account)
        signature = said.sign(contract_domain(self.parts.domain, self.parts.contracts.acceptance.address), self.parts.signer)
        self.book.write(Measured(said, seat, signature, own=True))
        await self._tell(job, "evaluation", encode(SignedEvaluation(said, seat, signature)))

    async def _accept(self, job: JobState, duty: duties.Accept) -> None:
        """All passing evaluations that agree to the last digit, if they are two thirds of the seats."""
        same: dict[Evaluation, dict[int, bytes]] = {}
        for seat, measured in self.book.measured[job.id][duty.milestone].items():
            if measured.evaluation.passed:
                same.setdefault(measured.evaluation, {})[seat] = measured.signature
        said, signatures = max(same.items(), key=lambda item: len(item[1]))
        if len(signatures) < job.two_thirds():
            raise ProtocolError("the verifiers measured different values; no acceptance")
        seats = tuple(sorted(signatures))
        call = self.parts.contracts.acceptance.accept(
            job.id, said.milestone, said.model, said.shard, said.metric, said.baseline, seats, tuple(signatures[seat] for seat in seats)
        )
        await self.send(call, duty)


def _after(job: JobState, milestone: int) -> int:
    """The round that would start from the milestone's model."""
    return (milestone + 1) * job.rounds_per_milestone + 1


def _name(data: bytes) -> bytes:
    return unixfs.root(data).digest
