"""What a verifier owes a job."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hansa.core.types import Judgement
from hansa.rounds import duties
from hansa.rounds.duties import Ballot, Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.trainer import parting
from hansa.rounds.upkeep import GRACE, Boxes, rank_of, upkeep


class VerifierFacts(msgspec.Struct, frozen=True):
    """A verifier's own journal, folded.

    `verdicts`: own ballots by (round, attempt), journalled before they leave; `published`: those that every live peer has;
    `boxes`: everybody's verdicts; `evaluated`: milestones whose shard was measured; `evaluations`: seats that signed by milestone.
    """

    verdicts: Mapping[tuple[int, int], Ballot]
    published: frozenset[tuple[int, int]]
    boxes: Boxes
    evaluated: frozenset[int] = frozenset()
    evaluations: Mapping[int, int] = {}
    claimed: frozenset[int] = frozenset()


def verifier_duties(job: JobState, me: str, own: VerifierFacts, now: float) -> list[Duty]:
    """Reveal if a draw needs it, judge each anchor once, say so to everyone, bond a challenge when it is wrong or cannot be checked,
    measure opened shards."""
    if me not in job.candidates:
        return []
    if job.phase is Phase.ENROLLING and _drawing(job, me, now):
        return [duties.Reveal(job.id)]
    due = parting(job, me, own.claimed) + upkeep(job, own.boxes, now, rank_of(job, me))
    if me not in job.verifiers or me in job.removed:
        return due
    seat = job.verifiers.index(me)
    return due + _judging(job, seat, own, now) + _acceptance(job, seat, own, now)


def _drawing(job: JobState, me: str, now: float) -> bool:
    surplus = len(job.candidates) > job.terms.verifiers
    return surplus and me not in job.revealed and job.terms.enrol_by <= now < job.terms.enrol_by + job.terms.window


def _judging(job: JobState, seat: int, own: VerifierFacts, now: float) -> list[Duty]:
    if job.phase not in (Phase.ANCHORED, Phase.CHALLENGED) or job.anchor is None:
        return []
    at = (job.round, job.attempt)
    mine = own.verdicts.get(at)
    due: list[Duty] = []
    if mine is None:
        due.append(duties.Check(job.id, *at, job.anchor))
    elif at not in own.published:
        due.append(duties.Publish(job.id, *at))
    if job.phase is Phase.ANCHORED and _challenges(job, seat, mine, now):
        due.append(duties.Challenge(job.id, *at, job.anchor))
    return due


def _challenges(job: JobState, seat: int, mine: Ballot | None, now: float) -> bool:
    """Seats challenge one after another, well inside the window: one bond is enough, but nobody waits for a dead seat.

    A wrong anchor is challenged at once. One that could not be checked in half of the window is challenged too: with blobs withheld
    from honest seats, a single dishonest one would be the third that ends a round by time (R5).
    """
    window = job.terms.window
    if mine is None:
        first = job.anchored_at + window / 2
    elif mine.judgement is Judgement.WRONG:
        first = float(job.anchored_at)
    else:
        return False
    return first + seat * min(GRACE, window / (4 * len(job.verifiers))) <= now < job.anchored_at + window


def _acceptance(job: JobState, seat: int, own: VerifierFacts, now: float) -> list[Duty]:
    due: list[Duty] = []
    done = {milestone for milestone, _ in job.accepted}
    for milestone, shard in job.shards:
        last, firm_at = (milestone + 1) * job.rounds_per_milestone, job.firm_at(milestone)
        if milestone in done or len(job.final) < last or firm_at is None:
            continue
        # One seat after another: measuring needs a whole worker, and whoever shares a machine should not need them all at once.
        if milestone not in own.evaluated:
            if now >= firm_at + seat * 2 * GRACE:
                due.append(duties.Evaluate(job.id, milestone, job.final[last - 1].anchor.model, shard))
        elif own.evaluations.get(milestone, 0) >= job.two_thirds() and now >= firm_at + (2 * (job.two_thirds() - 1) + 3 * seat) * GRACE:
            due.append(duties.Accept(job.id, milestone))
    return due
