"""Dishonest and useless parties, each a class: what it does differently is one or two methods."""

from __future__ import annotations

from msgspec.structs import replace

from hansa.core.encoding import sha256
from hansa.core.types import Digest, Judgement, Verdict
from hansa.rounds import duties
from hansa.rounds.duties import Ballot, Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.manifest import Accepted
from hansa.simulation.miniature import Draft
from hansa.simulation.party import Party
from hansa.simulation.seal import ballot, digest_of
from hansa.simulation.verifier import Verifier
from hansa.simulation.worker import Coordinator, Trainer


class Mute(Party):
    """Mixed in: takes a place and then never does anything."""

    honest = False

    def due(self, job: JobState, now: float) -> list[Duty]:
        return []


class SilentTrainer(Mute, Trainer):
    pass


class SilentVerifier(Mute, Verifier):
    pass


class SilentCoordinator(Coordinator):
    """Takes every office it can get, and then does nothing with it."""

    honest = False

    def due(self, job: JobState, now: float) -> list[Duty]:
        return [duty for duty in super().due(job, now) if isinstance(duty, duties.Takeover)]

    def accepts(self, trainer: str) -> bool:
        return False


class StallingCoordinator(Coordinator):
    """Takes every update, gives receipts, and never anchors."""

    honest = False

    def due(self, job: JobState, now: float) -> list[Duty]:
        return [duty for duty in super().due(job, now) if not isinstance(duty, duties.Assemble | duties.SendAnchor)]


class LyingCoordinator(Coordinator):
    """Anchors another model than the sum gives, or another sum, or credits that nobody earned."""

    honest = False
    lie = "model"

    def draft(self, job: JobState, accepted: list[Accepted]) -> Draft | None:
        draft = super().draft(job, accepted)
        if draft is None:
            return None
        forged = sha256(b"forged" + digest_of(draft.anchor))
        if self.lie == "credits":
            return replace(draft, anchor=replace(draft.anchor, credits=forged))
        blob = forged[:24]
        anchor = replace(draft.anchor, **{self.lie: sha256(blob)})
        return Draft(anchor, {**draft.blobs, sha256(blob): blob})


class WithholdingCoordinator(Coordinator):
    """Anchors the right result, but nobody gets the blobs behind it."""

    honest = False

    def _place(self, job: JobState, draft: Draft, accepted: list[Accepted]) -> bool:
        return True

    def serves(self, digest: bytes) -> bool:
        return False


class OmittingCoordinator(Coordinator):
    """Leaves the first trainer out: no receipt, and what it registers is not collected."""

    honest = False

    def accepts(self, trainer: str) -> bool:
        return trainer != self.view.trainers[0]

    def due(self, job: JobState, now: float) -> list[Duty]:
        nobody = {trainer: frozenset(job.verifiers) for trainer in job.trainers}
        self.absent = {(job.round, job.attempt): nobody}
        return [duty for duty in super().due(job, now) if not isinstance(duty, duties.Collect)]


class HastyCoordinator(OmittingCoordinator):
    """Leaves the first trainer out and anchors as soon as the quorum is there, before it could go to the ledger."""

    def due(self, job: JobState, now: float) -> list[Duty]:
        due = super().due(job, now)
        if job.phase is not Phase.OPEN or job.coordinator != self.account:
            return due
        got = self.took.get((job.round, job.base), {})
        draft = self.drafts.get((job.round, job.attempt))
        if draft is not None:
            due.append(duties.SendAnchor(job.id, job.round, job.attempt, draft))
        elif len(got) >= job.terms.quorum:
            due.append(duties.Assemble(job.id, job.round, job.attempt, tuple(sorted(got))))
        return due


class PhantomTrainer(Trainer):
    """Registers updates that it leaves with nobody, so that whoever sums without them looks guilty."""

    honest = False

    def perform(self, job: JobState, duty: Duty) -> None:
        match duty:
            case duties.Submit():
                self.ended(duty)
            case duties.RegisterUpdate(round=round):
                phantom = sha256(b"phantom" + job.base)
                self.transact(duty, lambda: self.world.referee.register_update(self.account, round, phantom))
            case _:
                super().perform(job, duty)


class LazyVerifier(Verifier):
    """Signs valid without looking."""

    honest = False

    def judge(self, job: JobState) -> Verdict | None:
        return None if job.anchor is None else Verdict(Judgement.VALID, Digest(digest_of(job.anchor)))


class ColludingVerifier(Verifier):
    """Signs valid for dishonest coordinators and an invented digest against honest ones, and bonds challenges against them."""

    honest = False

    def judge(self, job: JobState) -> Verdict | None:
        if job.anchor is None:
            return None
        if not self.world.parties[job.coordinator].honest:
            return Verdict(Judgement.VALID, Digest(digest_of(job.anchor)))
        return Verdict(Judgement.WRONG, Digest(sha256(b"invented" + digest_of(job.anchor))))


class TwoFacedVerifier(Verifier):
    """Tells every second peer the opposite of what it tells the others."""

    honest = False

    def vote_for(self, peer: str, at: tuple[int, int]) -> Ballot:
        mine = self.verdicts[at]
        job = self.view
        if job.anchor is None or [*job.coordinators, *job.verifiers].index(peer) % 2:
            return mine
        if mine.judgement is Judgement.VALID:
            return ballot(self.account, mine.seat, job.anchor, Judgement.WRONG, sha256(b"other" + digest_of(job.anchor)))
        return ballot(self.account, mine.seat, job.anchor, Judgement.VALID, digest_of(job.anchor))
