"""The verifier: fetches what an anchor names, recomputes it, says what it found, and bonds a challenge when it is wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from hansa.core.encoding import encode
from hansa.core.errors import BlobUnavailable, FormatError, ProtocolError, TransportError
from hansa.core.ports import Handler
from hansa.core.types import Address, BlobRef, Envelope, Fault, FaultKind, Judgement, Role, Verdict
from hansa.identity.statements import Attestation, Evaluation
from hansa.node.ballots import SignedEvaluation, SignedVerdict, contract_domain
from hansa.node.hearing import Hearing
from hansa.node.intake import reached, read_submission
from hansa.node.node import LAG, Parts
from hansa.node.records import Left, Measured, Published, Shared, Voted
from hansa.rounds import duties
from hansa.rounds.anchor import Anchor
from hansa.rounds.duties import Ballot, Duty
from hansa.rounds.job import JobState
from hansa.rounds.spec import PPM
from hansa.rounds.verifier import verifier_duties
from hansa.storage import unixfs
from hansa.verification.judge import fault_digest, judge

log = logging.getLogger(__name__)

_AT_ONCE = 8
"""Blobs of one round that are fetched at a time."""


class Share(Duty, frozen=True):
    """Bring the own evaluation of a milestone to coordinators and fellow verifiers."""

    milestone: int


class VerifierNode(Hearing):
    role = Role.VERIFIER

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._told: dict[str, set[Address]] = {}
        """By duty, who has heard it already."""
        self._sought: dict[int, tuple[Anchor, float]] = {}
        """By job, the anchor that was looked at last, and when that was begun, in protocol time."""

    def owed(self, job: JobState) -> Sequence[Duty]:
        if self.account not in job.candidates:
            return []
        seat = job.verifiers.index(self.account) if self.account in job.verifiers else None
        own = self.book.verifier(job.id, seat)
        accepted = {milestone for milestone, _ in job.accepted}
        shares = [Share(job.id, milestone) for milestone in sorted(own.evaluated - accepted - self.book.shared[job.id])]
        due = verifier_duties(job, self.account, own, self.now())
        if (job.round, job.attempt) not in own.verdicts and not self._in_vain(job):
            due = [duty for duty in due if not isinstance(duty, duties.Challenge)]
        return [*due, *shares]

    def _in_vain(self, job: JobState) -> bool:
        """Whether this node itself has looked for the anchor's blobs for a while: one that was away, or cut off from the chain, does
        not bond on what it has not tried."""
        anchor, since = self._sought.get(job.id, (None, 0.0))
        return anchor == job.anchor and self.now() >= since + job.terms.window / 8

    def handlers(self) -> Mapping[str, Handler]:
        return {**super().handlers(), "leave": self._take_left, "left": self._give_left}

    async def perform(self, duty: Duty) -> None:
        match duty:
            case duties.Check():
                await self._check(self.job(duty.job), duty)
            case duties.Publish():
                await self._publish(self.job(duty.job), duty)
            case duties.Evaluate():
                await self._evaluate(self.job(duty.job), duty)
            case Share():
                await self._share(self.job(duty.job), duty)
            case duties.Accept():
                await self._accept(self.job(duty.job), duty)
            case duties.Reveal(job):
                value, salt = self.parts.beacon.reveal(job, self.account)
                await self.send(self.parts.contracts.cohort.reveal(job, value, salt), duty)
            case _:
                await super().perform(duty)

    async def _check(self, job: JobState, duty: duties.Check) -> None:
        if self._sought.get(job.id, (None, 0.0))[0] != duty.anchor:
            self._sought[job.id] = (duty.anchor, self.now())
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
        now = self.job(job.id)
        # Signed verdicts about an anchor that fell meanwhile help nobody, and this one was judged by what held before.
        if now.anchor == duty.anchor and (now.round, now.attempt) == (duty.round, duty.attempt):
            await self.book.write(Voted(job.id, duty.round, duty.attempt, ballot, own=True))

    async def _verdict(self, job: JobState, duty: duties.Check) -> Verdict:
        """BlobUnavailable while blobs cannot be had: then nothing is signed at all, and the anchor lapses if others fare the same (R5)."""
        anchor, coordinator = duty.anchor, Address(job.coordinator)
        spec, _ = await self.spec(job)
        holders = self.holders(job)
        try:
            page = await self.page(job, anchor)
        except FormatError as error:
            kind = FaultKind.WRONG_AGGREGATE
            return Verdict(Judgement.WRONG, fault_digest(anchor, kind), (Fault(coordinator, kind, f"the manifest: {error}"),))
        # Before anything is fetched: what a false manifest names has no bound.
        limit = spec.update_format(job).limit
        if len(page.updates) > len(job.trainers) or any(each.statement.size > limit for each in page.updates):
            kind = FaultKind.FORGED_UPDATE
            return Verdict(Judgement.WRONG, fault_digest(anchor, kind), (Fault(coordinator, kind, "too many updates, or too large"),))
        holders += [Address(held.holder) for held in page.held]
        refs = [each.ref for each in page.updates]
        updates = dict(zip([ref.digest for ref in refs], await self._get_all(refs, holders), strict=True))
        before = await self.standing(job, spec)
        left = {trainer: each.statement.update for (round, base_, trainer), each in self.book.left[job.id].items()
                if (round, base_) == (job.round, job.base)}  # fmt: skip
        verdict = await asyncio.to_thread(
            judge, spec, job, anchor, page, before, updates, left, self.parts.domain, self.follower.directory.account_of, _name
        )
        # The verifier now is a holder too: the next round, an auditor or a standby may ask it (R17).
        kept = [(BlobRef(anchor.manifest, anchor.manifest_size), True), *((ref, False) for ref in refs)]
        if verdict.judgement is Judgement.VALID:
            kept += [(BlobRef(anchor.model, anchor.model_size), True), (page.aggregate, False)]
            kept += [(page.server, True)] if page.server else []
        await asyncio.gather(*(self.blobs.put(data) for data in await self._get_all([ref for ref, _ in kept], holders)))
        until = self.until(job)
        await self.book.write(*(guard for ref, open in kept for guard in self.blobs.guard(job.id, ref, until, open=open)))
        return verdict

    async def _get_all(self, refs: Sequence[BlobRef], holders: Sequence[Address]) -> list[bytes]:
        """Some at a time, in order; the first that cannot be had ends it."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(ref: BlobRef) -> bytes:
            async with places:
                return await self.blobs.get(ref, holders)

        return await asyncio.gather(*(one(ref) for ref in refs))

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
        await self._tell(job, "verdict", duty.name, body)
        await self.book.write(Published(job.id, duty.round, duty.attempt))

    async def _tell(self, job: JobState, kind: str, what: str, body: bytes) -> None:
        """Every coordinator and fellow verifier that has not heard it yet; TransportError names those who still have not."""
        directory = self.follower.directory
        told = self._told.setdefault(what, set())
        others = [Address(each) for each in dict.fromkeys((*job.coordinators, *job.verifiers)) if each != self.account and each not in told]

        async def tell(account: Address) -> None:
            await self.parts.transport.request(directory.peer(account), kind, body, job=job.id, round=job.round, timeout=5.0)
            told.add(account)

        results = await asyncio.gather(*(tell(each) for each in others), return_exceptions=True)
        silent = [
            f"{directory.name(each)} ({result})" for each, result in zip(others, results, strict=True) if isinstance(result, BaseException)
        ]
        if silent:
            raise TransportError(f"not yet heard by {', '.join(silent)}; trying again")
        del self._told[what]

    async def _take_left(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "leave": an update whose coordinator gives no receipt, kept for the one who will be asked about it (R5)."""
        job = await self.follower.until(envelope.job, lambda job: reached(envelope, job), LAG)
        if job is None or self.account not in job.verifiers:
            raise ProtocolError(f"this node is no verifier of job {envelope.job}")
        spec, _ = await self.spec(job)
        job = self.job(job.id)
        accepted, data = await read_submission(envelope, body, job, spec, self.parts.domain, self.follower.directory)
        if self.now() >= job.register_until():
            # Left later, it could no longer reach the coordinator: nobody may be judged by it.
            raise ProtocolError("it is too late in the round to leave an update here; bring it to the coordinator")
        said = accepted.statement
        async with self.desk(said.trainer):
            known = self.book.left[job.id].get((said.round, said.base, said.trainer))
            if known is not None and known.statement != said:
                raise ProtocolError("another update of yours was left here for this round; the first one counts")
            if known is None:
                ref = await self.blobs.put(data)
                await self.book.write(*self.blobs.guard(job.id, ref, self.until(job), open=False), Left(accepted))
        return b"{}"

    async def _give_left(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "left": the statement of an update that a trainer left here, for coordinators."""
        job = self.follower.jobs.get(envelope.job)
        if job is None or self.follower.directory.account_of(Address(envelope.sender)) not in job.coordinators:
            raise ProtocolError("only a coordinator of the job asks for updates left here")
        if self.now() < job.register_until():
            raise ProtocolError("trainers may still leave updates here; ask again later in the round")
        accepted = self.book.left[job.id].get((job.round, job.base, body.decode(errors="replace")))
        return encode(accepted) if accepted else b""

    async def _evaluate(self, job: JobState, duty: duties.Evaluate) -> None:
        """Metric in parts per million of right answers on the opened shard, signed in the contract's domain (R11)."""
        spec, _ = await self.spec(job)
        guarded = self.book.guarded.get(duty.shard, {}).get(job.id)
        if guarded is None:
            raise BlobUnavailable("the opened shard has not been brought here yet")
        state = await self.model(job, spec, _after(job, duty.milestone))
        found = await self.measure(job, spec, state, await self.blobs.own(guarded.ref))
        metric = PPM * (found.correct or 0) // found.rows
        least = spec.acceptance.baseline + spec.acceptance.margin
        said = Evaluation(job.id, duty.milestone, duty.model, duty.shard, metric, spec.acceptance.baseline, metric >= least)
        seat = job.verifiers.index(self.account)
        signature = said.sign(contract_domain(self.parts.domain, self.parts.contracts.acceptance.address), self.parts.signer)
        await self.book.write(Measured(said, seat, signature, own=True))

    async def _share(self, job: JobState, duty: Share) -> None:
        """The own evaluation, to every coordinator and fellow verifier."""
        mine = self.book.measured[job.id][duty.milestone][job.verifiers.index(self.account)]
        await self._tell(job, "evaluation", duty.name, encode(SignedEvaluation(mine.evaluation, mine.seat, mine.signature)))
        await self.book.write(Shared(job.id, duty.milestone))

    async def _accept(self, job: JobState, duty: duties.Accept) -> None:
        """All passing evaluations that agree to the last digit, if they are two thirds of the seats."""
        same: dict[Evaluation, dict[int, bytes]] = {}
        for seat, measured in self.book.measured[job.id][duty.milestone].items():
            if measured.evaluation.passed:
                same.setdefault(measured.evaluation, {})[seat] = measured.signature
        said, signatures = max(same.items(), key=lambda item: len(item[1]), default=(None, {}))
        if said is None or len(signatures) < job.two_thirds():
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
