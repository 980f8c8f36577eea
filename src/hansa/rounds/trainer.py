"""What a trainer owes a job."""

from __future__ import annotations

import msgspec

from hansa.rounds import duties
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.staleness import window
from hansa.rounds.upkeep import rank_of, upkeep


class TrainerFacts(msgspec.Struct, frozen=True):
    """A trainer's own journal, folded: updates made by (round, base), receipts by (round, attempt, coordinator), milestones claimed,
    and whether its operator wants it to leave. `promised` says which update a receipt is for: (round, attempt, round it was made in)."""

    updates: frozenset[tuple[int, bytes]] = frozenset()
    receipts: frozenset[tuple[int, int, str]] = frozenset()
    claimed: frozenset[int] = frozenset()
    leaving: bool = False
    promised: frozenset[tuple[int, int, int]] = frozenset()


def trainer_duties(job: JobState, me: str, own: TrainerFacts, now: float, staleness: int | None = None) -> list[Duty]:
    """Train once per (round, base model), bring it to every new coordinator; without a receipt at half the patience, go to the ledger.

    Who has come since the round was opened waits for the next opening; who has left still works for what it left in. In an
    asynchronous job, which `staleness` says, an update stays good for that many rounds more. Last in rank, all of them also keep the job
    moving by what needs no verdicts: so does who left, for its money comes of it.
    """
    if me not in job.trainers and me not in job.joined and me not in job.left:
        return []
    due = parting(job, me, own.claimed) + upkeep(job, {}, now, rank_of(job, me))
    if own.leaving and job.running and me not in job.left:
        due.append(duties.Leave(job.id))
    if me not in job.trainers or job.phase is not Phase.OPEN or now >= job.terms.deadline:
        return due
    made = job.round if (job.round, job.base) in own.updates else None
    if staleness is not None:
        made = max(_waiting(job, own, staleness), default=made)
    if made is None:
        return [duties.Train(job.id, job.round, job.base), *due]
    # A receipt binds the coordinator that gave it: whoever takes over in the same attempt has to be brought the update again.
    if (job.round, job.attempt, job.coordinator) in own.receipts:
        return due
    if job.coordinator:
        due.append(duties.Submit(job.id, job.round, job.attempt, job.coordinator, made))
    if made == job.round and job.register_from() <= now < job.register_until() and me not in job.registered_now():
        due.append(duties.RegisterUpdate(job.id, job.round, job.attempt))
    return due


def _waiting(job: JobState, own: TrainerFacts, staleness: int) -> list[int]:
    """Rounds in which updates were made that the current round takes and that no final round was promised."""
    bases = window(job, staleness)
    firm = {(round + 1, final.anchor.attempt) for round, final in enumerate(job.final)}
    spent = {made for round, attempt, made in own.promised if (round, attempt) in firm}
    return [round for round, base in own.updates if bases.get(round) == base and round not in spent]


def parting(job: JobState, me: str, claimed: frozenset[int]) -> list[Duty]:
    """What a member collects when the job has ended: its stake, and in one claim what settled milestones owe it (roots are cumulative)."""
    unseated = job.phase not in (Phase.ENROLLING, Phase.CLOSED) and me in job.candidates and me not in job.verifiers
    due: list[Duty] = [duties.Release(job.id)] if (job.phase is Phase.CLOSED or unseated) and me not in job.released else []
    if job.phase is Phase.CLOSED and job.settled and max(job.settled) not in claimed:
        due.append(duties.Claim(job.id, max(job.settled)))
    return due
