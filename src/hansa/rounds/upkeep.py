"""Duties that anyone may do and somebody must: each silence of contracts/SPEC.md ends in a call made here.

Several nodes watch the same job. `rank` staggers them: rank 0 acts when a call falls due, rank k another k * GRACE seconds later and
only if the call is still open: in the ordinary case one transaction is sent, and a dead node never blocks the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

from hansa.rounds import duties
from hansa.rounds.ballots import Box, deciding_valid, deciding_wrong, witnesses
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState, Phase

GRACE = 2.0
"""Seconds between ranks."""

COURTESY = 1.0
"""Seconds that a decided round waits for the verdicts of the other seats: only those in the finalising call are paid."""

Boxes = Mapping[tuple[int, int], Box]
"""Verdicts by (round, attempt)."""


def rank_of(job: JobState, me: str) -> int:
    """Turn of a member: the coordinator in office, the other coordinators, verifiers, trainers; last whoever else looks on."""
    if me == job.coordinator:
        return 0
    turns = (*job.coordinators, *(job.verifiers or job.candidates), *job.trainers, *job.joined, *job.left)
    return 1 + (turns.index(me) if me in turns else len(turns))


def upkeep(job: JobState, boxes: Boxes, now: float, rank: int) -> list[Duty]:
    """What is due of everyone at protocol time `now`; without boxes only what needs no verdicts."""
    late = now - rank * GRACE
    match job.phase:
        case Phase.CLOSED:
            return []
        case Phase.ENROLLING:
            return [duties.Expire(job.id)] if late >= job.terms.deadline else _enrolment(job, late)
        case Phase.ANCHORED | Phase.CHALLENGED:
            due = _judgement(job, boxes.get((job.round, job.attempt), {}), late)
        case Phase.OPEN:
            regroup_from = job.regroup_from()
            due = [duties.Regroup(job.id, job.round, job.attempt)] if regroup_from is not None and late >= regroup_from else []
            due = due if now < job.terms.deadline else []
        case _:
            due = []
    return _proof(job, boxes, now, late) or [*due, *_settlement(job, late)]


def _enrolment(job: JobState, late: float) -> list[Duty]:
    terms = job.terms
    if late < terms.enrol_by:
        return []
    if len(job.trainers) < terms.quorum or not job.coordinators or len(job.candidates) < terms.verifiers:
        return [duties.Cancel(job.id)]
    # A surplus of verifiers is drawn from, by values that they have one window to reveal (R8).
    if len(job.candidates) > terms.verifiers and len(job.revealed) < len(job.candidates):
        if late < terms.enrol_by + terms.window:
            return []
        if len(job.revealed) < terms.verifiers:
            return [duties.Cancel(job.id)]
    return [duties.Start(job.id)]


def _judgement(job: JobState, box: Box, late: float) -> list[Duty]:
    anchor = job.anchor
    # Two thirds decide at once, whoever gathers them first; rank only staggers, so `late` is compared with the anchoring.
    if anchor is None or late < job.anchored_at:
        return []
    at = (job.id, job.round, job.attempt)
    digest, wrong = deciding_wrong(job, box)
    if wrong:
        return [duties.Condemn(*at, anchor, digest, wrong)]
    if deciding_valid(job, box) and (len(box) >= len(job.verifiers) or late >= job.anchored_at + COURTESY):
        # Everyone who looked is named and thereby paid, those too who only fetched.
        return [duties.Finalise(*at, anchor, witnesses(job, box))]
    if job.phase is Phase.CHALLENGED:
        return [duties.VoidRound(*at, anchor)] if late >= job.voids_at else []
    if late < job.anchored_at + job.terms.window:
        return []
    if seen := witnesses(job, box):
        return [duties.Finalise(*at, anchor, seen, by_time=True)]
    return [duties.Lapse(*at, anchor)] if late >= job.anchored_at + 2 * job.terms.window else []


def _proof(job: JobState, boxes: Boxes, now: float, late: float) -> list[Duty]:
    """Later proof against a round that is final but still inside its window (R7); it undoes all that follows, so nothing else is due."""
    for final in job.final:
        if late < final.anchored_at or now >= final.anchored_at + job.terms.window:
            continue
        at = (final.anchor.round, final.anchor.attempt)
        digest, wrong = deciding_wrong(job, boxes.get(at, {}))
        if wrong:
            return [duties.Condemn(job.id, *at, final.anchor, digest, wrong)]
    return []


def _settlement(job: JobState, late: float) -> list[Duty]:
    """Pay the next milestone once nothing can undo it; end the job when all are paid, or at the deadline when no more can be earned."""
    following = len(job.settled)
    if following == job.terms.milestones:
        return [duties.Close(job.id)] if job.phase is Phase.DONE and late >= job.since else []
    firm_at = job.firm_at(following)
    if firm_at is not None and late < job.lost_from():
        return [duties.Settle(job.id, following)] if late >= firm_at else []
    return [duties.Expire(job.id)] if job.phase in (Phase.OPEN, Phase.DONE) and late >= job.terms.deadline else []
