"""Which updates a round takes: those made from its own base model, and in an asynchronous job also from those of a few rounds before.

A job that waits for everybody has no staleness: its window is the current round alone. An asynchronous one takes an update made from the
model of an earlier round once, in any round of the window after it, with a weight that falls with its age.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hansa.core.errors import ProtocolError
from hansa.identity.statements import UpdateStatement
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted, Manifest

Used = frozenset[tuple[str, int]]
"""Trainer and round of updates that final rounds have already taken."""


def window(job: JobState, staleness: int) -> dict[int, bytes]:
    """Round to the model that it started from, of all rounds whose updates the current round takes."""
    return {round: base_of(job, round) for round in range(max(1, job.round - staleness), job.round + 1)}


def base_of(job: JobState, round: int) -> bytes:
    """The model that a round up to the current one started from."""
    if round == job.round:
        return job.base
    return job.final[round - 2].anchor.model if round > 1 else job.terms.genesis


def check(job: JobState, said: UpdateStatement, staleness: int, used: Used) -> None:
    """ProtocolError unless the current round takes this update."""
    if said.job != job.id or window(job, staleness).get(said.round) != said.base:
        raise ProtocolError(
            f"the update was made in round {said.round} of job {said.job}, from a model whose updates round {job.round} of job {job.id} "
            "does not take; train on the present model"
        )
    if (said.trainer, said.round) in used:
        raise ProtocolError(f"the update of {said.trainer} from round {said.round} was taken by an earlier round; it counts once")


def used_by(pages: Iterable[Manifest]) -> Used:
    """What the manifests of final rounds have taken."""
    return frozenset((each.statement.trainer, each.statement.round) for page in pages for each in page.updates)


def takeable(job: JobState, updates: Mapping[tuple[int, bytes], Mapping[str, Accepted]], staleness: int, used: Used) -> dict[str, Accepted]:
    """Of each trainer the newest update that the current round takes; `updates` by (round, base) and trainer."""
    found: dict[str, Accepted] = {}
    trainers = frozenset(job.trainers)
    for at in window(job, staleness).items():
        for trainer, accepted in updates.get(at, {}).items():
            if (trainer, at[0]) not in used and trainer in trainers:
                found[trainer] = accepted
    return found
