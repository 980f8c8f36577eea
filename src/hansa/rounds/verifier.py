"""What a verifier owes a job."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hansa.core.types import Judgement
from hansa.rounds import duties
from hansa.rounds.ballots import Box
from hansa.rounds.duties import Ballot, Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.trainer import claims
from hansa.rounds.upkeep import GRACE, upkeep


class VerifierFacts(msgspec.Struct, frozen=True):
    """A verifier's own journal, folded.

    `verdicts`: own ballots by (round, attempt), journalled before they leave; `published`: those that every live peer has;
    `boxes`: everybody's verdicts; `evaluated`: milestones whose shard was measured; `evaluations`: seats that signed by milestone.
    """

    verdicts: Mapping[tuple[int, int], Ballot]
    published: frozenset[tuple[int, int]]
    boxes: Mapping[tuple[int, int], Box]
    evaluated: frozenset[int] = frozenset()
    evaluations: Mapping[int, int] = {}
    claimed: frozenset[int] = frozenset()


def verifier_duties(job: JobState, me: str, own: VerifierFacts, now: float) -> list[Duty]:
    """Reveal if a draw needs it, judge each anchor once, say so to everyone, bond a challenge when it is wrong, measure opened shards."""
    if me not in job.candidates:
        return []
    if job.phase is Phase.ENROLLING:
        drawing = len(job.candidates) > job.terms.verifiers and now >= job.terms.enrol_by and me not in job.revealed
        return [duties.Reveal(job.id)] if drawing else upkeep(job, {}, now, 1 + len(job.coordinators) + job.candidates.index(me))
    if me not in job.verifiers or me in job.removed:
        return []
    seat = job.verifiers.index(me)
    at = (job.round, job.attempt)
    due = claims(job, own.claimed) + upkeep(job, own.boxes.get(at, {}), now, 1 + seat)
    if job.phase in (Phase.ANCHORED, Phase.CHALLENGED) and job.anchor is not None:
        mine = own.verdicts.get(at)
        if mine is None:
            due.append(duties.Check(job.id, *at, job.anchor))
        else:
            if at not in own.published:
                due.append(duties.Publish(job.id, *at))
            if mine.judgement is Judgement.WRONG and job.phase is Phase.ANCHORED and _my_turn(job, seat, now):
                due.append(duties.Challenge(job.id, *at, job.anchor))
    return due + _acceptance(job, seat, own, now)


def _my_turn(job: JobState, seat: int, now: float) -> bool:
    """Seats challenge one after another, all of them well inside the window: one bond is enough, but nobody waits for a dead seat."""
    step = min(GRACE, job.terms.window / (2 * len(job.verifiers)))
    return job.anchored_at + seat * step <= now < job.anchored_at + job.terms.window


def _acceptance(job: JobState, seat: int, own: VerifierFacts, now: float) -> list[Duty]:
    due: list[Duty] = []
    done = {milestone for milestone, _ in job.accepted}
    for milestone, shard in job.shards:
        last = (milestone + 1) * job.rounds_per_milestone
        if milestone in done or len(job.final) < last:
            continue
        if milestone not in own.evaluated:
            due.append(duties.Evaluate(job.id, milestone, job.final[last - 1].anchor.model, shard))
        elif own.evaluations.get(milestone, 0) >= job.two_thirds() and now >= job.since + seat * GRACE:
            due.append(duties.Accept(job.id, milestone))
    return due
