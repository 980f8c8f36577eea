"""Duties that anyone may do and somebody must: each silence of contracts/SPEC.md ends in a call made here.

Several nodes watch the same job. `rank` staggers them: rank 0 acts when a call falls due, rank k another k * GRACE seconds later and
only if the call is still open: in the ordinary case one transaction is sent, and a dead node never blocks the rest.
"""

from __future__ import annotations

from hansa.rounds import duties
from hansa.rounds.ballots import Box, deciding_valid, deciding_wrong, witnesses
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState, Phase

GRACE = 2.0
"""Seconds between ranks."""


def upkeep(job: JobState, box: Box, now: float, rank: int) -> list[Duty]:
    """What is due of everyone at protocol time `now`; `box` holds the verdicts on the current anchor."""
    late = now - rank * GRACE
    match job.phase:
        case Phase.ENROLLING:
            due = _enrolment(job, late)
        case Phase.ANCHORED | Phase.CHALLENGED:
            due = _judgement(job, box, late)
        case _:
            due = []
    due += _settlement(job, late)
    if job.phase in (Phase.ENROLLING, Phase.OPEN) and late >= job.terms.deadline and not due:
        due = [duties.Expire(job.id)]
    elif job.phase is Phase.DONE and len(job.settled) == job.terms.milestones and late >= job.since:
        due.append(duties.Close(job.id))
    return due


def enrolment_ends(job: JobState) -> int:
    """When seats may be fixed: a surplus of verifiers needs one window more for the draw (R8)."""
    return job.terms.enrol_by + (job.terms.window if len(job.candidates) > job.terms.verifiers else 0)


def _enrolment(job: JobState, late: float) -> list[Duty]:
    if late < enrolment_ends(job):
        return []
    enough = len(job.trainers) >= job.terms.quorum and job.coordinators and len(job.candidates) >= job.terms.verifiers
    return [duties.Start(job.id) if enough else duties.Cancel(job.id)]


def _judgement(job: JobState, box: Box, late: float) -> list[Duty]:
    anchor = job.anchor
    if anchor is None:
        return []
    at = (job.id, job.round, job.attempt)
    digest, wrong = deciding_wrong(job, box)
    if wrong:
        return [duties.Condemn(*at, anchor, digest, wrong)]
    # Two thirds decide at once, whoever gathers them first; rank only staggers, so `late` is compared with the anchoring.
    if (valid := deciding_valid(job, box)) and late >= job.anchored_at:
        return [duties.Finalise(*at, anchor, valid)]
    if job.phase is Phase.CHALLENGED:
        return [duties.VoidRound(*at, anchor)] if late >= job.voids_at else []
    if late < job.anchored_at + job.terms.window:
        return []
    if seen := witnesses(job, box):
        return [duties.Finalise(*at, anchor, seen, by_time=True)]
    return [duties.Lapse(*at, anchor)] if late >= job.anchored_at + 2 * job.terms.window else []


def _settlement(job: JobState, late: float) -> list[Duty]:
    """Milestones whose last round is final and past its window (R7: later proof can no longer reverse it)."""
    due: list[Duty] = []
    for milestone in range(job.terms.milestones):
        last = (milestone + 1) * job.rounds_per_milestone
        if milestone not in job.settled and len(job.final) >= last:
            # Every round up to the last must be past its window; they finalise in order, so the last one decides.
            if late >= job.final[last - 1].anchored_at + job.terms.window:
                due.append(duties.Settle(job.id, milestone))
    return due
