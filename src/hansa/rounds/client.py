"""What the client of a job does: opens acceptance shards, and any upkeep; nothing of the job's money depends on it."""

from __future__ import annotations

from hansa.rounds import duties
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.upkeep import rank_of, upkeep


def client_duties(job: JobState, me: str, shards: int, now: float) -> list[Duty]:
    """Close enrolment early once every seat is filled and nobody stands in surplus; open shard k once milestone k is firm (R11)."""
    if me != job.client:
        return []
    due = upkeep(job, {}, now, rank_of(job, me))
    if job.phase is Phase.ENROLLING:
        full = (
            len(job.trainers) == job.terms.max_trainers
            and len(job.candidates) == job.terms.verifiers
            and len(job.coordinators) > 1  # a job without a standby waits for one until enrolment ends
        )
        return [duties.Start(job.id)] if full and now < job.terms.enrol_by else due
    opened = {milestone for milestone, _ in job.shards}
    for milestone in range(min(job.terms.milestones, shards)):
        firm_at = job.firm_at(milestone)
        if milestone not in opened and firm_at is not None and now >= firm_at:
            due.append(duties.OpenShard(job.id, milestone))
    return due
