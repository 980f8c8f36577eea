"""What a trainer owes a job."""

from __future__ import annotations

import msgspec

from hansa.rounds import duties
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.upkeep import rank_of, upkeep


class TrainerFacts(msgspec.Struct, frozen=True):
    """A trainer's own journal, folded: updates made by (round, base), receipts by (round, attempt, coordinator), milestones claimed,
    and whether its operator wants it to leave."""

    updates: frozenset[tuple[int, bytes]] = frozenset()
    receipts: frozenset[tuple[int, int, str]] = frozenset()
    claimed: frozenset[int] = frozenset()
    leaving: bool = False


def trainer_duties(job: JobState, me: str, own: TrainerFacts, now: float) -> list[Duty]:
    """Train once per (round, base model), bring it to every new coordinator; without a receipt at half the patience, go to the ledger.

    Who has come since the round was opened waits for the next opening; who has left still works for what it left in. Last in rank,
    all of them also keep the job moving by what needs no verdicts: so does who left, for its money comes of it.
    """
    if me not in job.trainers and me not in job.joined and me not in job.left:
        return []
    due = parting(job, me, own.claimed) + upkeep(job, {}, now, rank_of(job, me))
    if own.leaving and job.running and me not in job.left:
        due.append(duties.Leave(job.id))
    if me not in job.trainers or job.phase is not Phase.OPEN or now >= job.terms.deadline:
        return due
    if (job.round, job.base) not in own.updates:
        return [duties.Train(job.id, job.round, job.base), *due]
    # A receipt binds the coordinator that gave it: whoever takes over in the same attempt has to be brought the update again.
    if (job.round, job.attempt, job.coordinator) in own.receipts:
        return due
    if job.coordinator:
        due.append(duties.Submit(job.id, job.round, job.attempt, job.coordinator))
    if job.register_from() <= now < job.register_until() and me not in job.registered_now():
        due.append(duties.RegisterUpdate(job.id, job.round, job.attempt))
    return due


def parting(job: JobState, me: str, claimed: frozenset[int]) -> list[Duty]:
    """What a member collects when the job has ended: its stake, and in one claim what settled milestones owe it (roots are cumulative)."""
    unseated = job.phase not in (Phase.ENROLLING, Phase.CLOSED) and me in job.candidates and me not in job.verifiers
    due: list[Duty] = [duties.Release(job.id)] if (job.phase is Phase.CLOSED or unseated) and me not in job.released else []
    if job.phase is Phase.CLOSED and job.settled and max(job.settled) not in claimed:
        due.append(duties.Claim(job.id, max(job.settled)))
    return due
