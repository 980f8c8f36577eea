"""What the client of a job does: opens acceptance shards, and may do any upkeep; nothing of the job's money depends on it."""

from __future__ import annotations

from hansa.rounds import duties
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState, Phase


def client_duties(job: JobState, me: str, shards: int) -> list[Duty]:
    """Close enrolment early once every seat is filled and nobody stands in surplus; open shard k after milestone k is final (R11)."""
    if me != job.client:
        return []
    if job.phase is Phase.ENROLLING:
        full = (
            len(job.trainers) == job.terms.max_trainers
            and len(job.candidates) == job.terms.verifiers
            and len(job.coordinators) > 1  # a job without a standby waits for one until enrolment ends
        )
        return [duties.Start(job.id)] if full else []
    opened = {milestone for milestone, _ in job.shards}
    final = len(job.final) // job.rounds_per_milestone
    return [duties.OpenShard(job.id, milestone) for milestone in range(min(final, shards)) if milestone not in opened]
