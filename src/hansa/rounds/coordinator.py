"""What a coordinator, primary or standby, owes a job."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hansa.rounds import duties
from hansa.rounds.anchor import Anchor
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.manifest import Accepted
from hansa.rounds.staleness import Used, takeable
from hansa.rounds.trainer import parting
from hansa.rounds.upkeep import GRACE, Boxes, rank_of, upkeep


class CoordinatorFacts(msgspec.Struct, frozen=True):
    """A coordinator's own journal, folded.

    `updates`: accepted updates by (round, base) and trainer; `drafts`: the anchor made for (round, attempt), journalled before it is sent;
    `boxes`: verdicts by (round, attempt); `absent`: verifiers that said they hold no update of a trainer that registered one, by
    (round, attempt) and trainer. An asynchronous job has a `staleness`, and `used` are the updates that earlier rounds of its window took.
    """

    updates: Mapping[tuple[int, bytes], Mapping[str, Accepted]]
    drafts: Mapping[tuple[int, int], Anchor]
    boxes: Boxes
    claimed: frozenset[int] = frozenset()
    absent: Mapping[tuple[int, int], Mapping[str, frozenset[str]]] = {}
    staleness: int | None = None
    used: Used = frozenset()


def coordinator_duties(job: JobState, me: str, own: CoordinatorFacts, now: float) -> list[Duty]:
    """Gather, assemble, anchor while in office; take over when the one in office is late; keep the job moving in any case."""
    if me not in job.coordinators:
        return []
    due = parting(job, me, own.claimed) + upkeep(job, own.boxes, now, rank_of(job, me))
    if job.phase is Phase.OPEN and now < job.terms.deadline:
        due += _office(job, own, now) if me == job.coordinator else _standby(job, me, now)
    return due


def _office(job: JobState, own: CoordinatorFacts, now: float) -> list[Duty]:
    draft = own.drafts.get((job.round, job.attempt))
    # A draft of rounds that were undone starts from a model that is gone.
    if draft is not None and draft.base == job.base:
        # Protocol time may have fallen back since the draft was made (R16).
        waits = own.staleness is None and draft.accepted < len(job.trainers) and now < job.gather_until()
        return [] if waits else [duties.SendAnchor(job.id, job.round, job.attempt, draft)]
    got = takeable(job, own.updates, own.staleness or 0, own.used)
    due: list[Duty] = []
    missing = tuple(sorted(job.registered_now().keys() - got.keys()))
    # Until then trainers may still leave updates, so that nobody's "I hold none" would be the last word.
    if missing and now >= job.register_until():
        due.append(duties.Collect(job.id, job.round, job.attempt, missing))
    absent = own.absent.get((job.round, job.attempt), {})
    # Two thirds who hold what the sum lacks would condemn it: better late than that. Nobody waits for an update that nobody has.
    accounted = all(len(absent.get(trainer, ())) >= job.blocking() for trainer in missing)
    # The last part of the patience is for summing, replicating and the transaction itself.
    patient = own.staleness is None and now < job.gather_until()
    if len(got) >= job.terms.quorum and (len(got) == len(job.trainers) or (not patient and accounted)):
        due.append(duties.Assemble(job.id, job.round, job.attempt, tuple(sorted(got))))
    return due


def _standby(job: JobState, me: str, now: float) -> list[Duty]:
    # A deserted round that a quorum could go on with is opened anew instead (regroup); the contract takes no takeover then.
    if me not in job.standbys or job.regroup_from() is not None or now < job.since + job.terms.patience + job.standbys.index(me) * GRACE:
        return []
    return [duties.Takeover(job.id, job.round, job.attempt, job.since)]
