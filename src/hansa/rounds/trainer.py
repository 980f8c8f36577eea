"""What a trainer owes a job."""

from __future__ import annotations

import msgspec

from hansa.rounds import duties
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState, Phase


class TrainerFacts(msgspec.Struct, frozen=True):
    """A trainer's own journal, folded: updates made by (round, base), receipts by (round, attempt), whether all was claimed."""

    updates: frozenset[tuple[int, bytes]] = frozenset()
    receipts: frozenset[tuple[int, int]] = frozenset()
    claimed: frozenset[int] = frozenset()


def trainer_duties(job: JobState, me: str, own: TrainerFacts, now: float) -> list[Duty]:
    """Train once per (round, base model), bring it to every new coordinator; without a receipt at half the patience, go to the ledger."""
    if me not in job.trainers:
        return []
    due = claims(job, own.claimed)
    if job.phase is not Phase.OPEN:
        return due
    if (job.round, job.base) not in own.updates:
        return [duties.Train(job.id, job.round, job.base), *due]
    if (job.round, job.attempt) in own.receipts:
        return due
    if job.coordinator:
        due.append(duties.Submit(job.id, job.round, job.attempt, job.coordinator))
    # A coordinator that was replaced takes its receipts with it, so the ledger is asked again only while nothing is registered.
    if now >= job.since + job.terms.patience / 2 and me not in job.registered_now():
        due.append(duties.RegisterUpdate(job.id, job.round))
    return due


def claims(job: JobState, claimed: frozenset[int]) -> list[Duty]:
    """One claim when the job has ended: roots are cumulative, so one call collects every settled milestone."""
    if job.phase is not Phase.CLOSED or not job.settled:
        return []
    last = max(job.settled)
    return [] if last in claimed else [duties.Claim(job.id, last)]
