"""What a coordinator, primary or standby, owes a job."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hansa.rounds import duties
from hansa.rounds.anchor import Anchor
from hansa.rounds.ballots import Box
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.manifest import Accepted
from hansa.rounds.trainer import claims
from hansa.rounds.upkeep import GRACE, upkeep


class CoordinatorFacts(msgspec.Struct, frozen=True):
    """A coordinator's own journal, folded.

    `updates`: accepted updates by (round, base) and trainer; `drafts`: the anchor made for (round, attempt), journalled before it is sent;
    `boxes`: verdicts by (round, attempt).
    """

    updates: Mapping[tuple[int, bytes], Mapping[str, Accepted]]
    drafts: Mapping[tuple[int, int], Anchor]
    boxes: Mapping[tuple[int, int], Box]
    claimed: frozenset[int] = frozenset()


def coordinator_duties(job: JobState, me: str, own: CoordinatorFacts, now: float) -> list[Duty]:
    """Gather, assemble, anchor while in office; take over when the one in office is late; keep the job moving in any case."""
    if me not in job.coordinators:
        return []
    rank = 0 if me == job.coordinator else 1 + job.coordinators.index(me)
    due = claims(job, own.claimed) + upkeep(job, own.boxes.get((job.round, job.attempt), {}), now, rank)
    if job.phase is Phase.OPEN and now < job.terms.deadline:
        due += _office(job, own, now) if me == job.coordinator else _standby(job, me, now)
    return due


def _office(job: JobState, own: CoordinatorFacts, now: float) -> list[Duty]:
    if draft := own.drafts.get((job.round, job.attempt)):
        return [duties.SendAnchor(job.id, job.round, job.attempt, draft)]
    got = own.updates.get((job.round, job.base), {})
    complete = len(got) == len(job.trainers)
    # The last part of the patience is for summing, replicating and the transaction itself.
    if complete or (now >= gather_until(job) and len(got) >= job.terms.quorum):
        return [duties.Assemble(job.id, job.round, job.attempt, tuple(sorted(got)))]
    return []


def gather_until(job: JobState) -> float:
    """When a round stops waiting for missing trainers: three quarters of the patience."""
    return job.since + job.terms.patience * 3 / 4


def _standby(job: JobState, me: str, now: float) -> list[Duty]:
    if me not in job.standbys:
        return []
    if now < job.since + job.terms.patience + job.standbys.index(me) * GRACE:
        return []
    return [duties.Takeover(job.id, job.round, job.attempt, job.since)]
