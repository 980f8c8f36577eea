"""Whole disputes about a round, and trainers that come and go in it: what a random walk would meet too rarely."""

from __future__ import annotations

from collections.abc import Callable

from tests.contracts.model_jobs import ROUND_OPEN, RUNNING, Job
from tests.contracts.town import COORDINATORS, TRAINERS, Town
from tests.contracts.world import FETCHED, TRAINER, VALID

QUARRELS = (
    "desert", "come and go", "void", "defend", "prove", "lapse", "condemn", "undo", "late", "by time", "by time after all", "too late",
    "two faces",
)  # fmt: skip


def quarrel(t: Town, job: Job, pick: int, how: str, offset: int, advance: Callable[[int], None]) -> None:
    """One whole dispute about the current round, from its anchor to its end."""
    if job.phase != RUNNING or job.round > job.terms.rounds or (name := job.who_coordinates()) is None:
        return
    if how == "late" and job.round_phase == ROUND_OPEN:
        t.world.go_to(job.opened_at + job.terms.patience + min(offset, 0))
        t.simple("takeover", job.id, COORDINATORS[(job.members[name].index + 1 + pick % 2) % 3])
        return
    if how == "too late":
        advance(2)  # work that is final must be paid before the rest expires
        t.world.go_to(job.terms.deadline + min(offset, 0))
        t.simple("expire", job.id)
        return
    if how == "desert" and job.round_phase == ROUND_OPEN:
        desert(t, job, name, offset)
        return
    if how == "come and go":
        t.leave(job.id, TRAINERS[pick % 3])
        for newcomer in TRAINERS[3:]:
            t.enrol(job.id, newcomer, TRAINER)
    if job.round_phase == ROUND_OPEN and not t.anchor(job.id, name, len(job.part)):
        return
    record = t.records[job.id][-1]
    if how in ("void", "defend", "prove", "by time after all"):
        if offset > 0:  # the last moment of the window, or the first after it
            t.world.go_to(record.at + job.terms.window - pick % 2)
        t.judge("challenge", job.id)
    if how == "void":
        t.world.go_to(record.challenged_at + job.terms.window + offset)
        t.judge("voidRound", job.id)
    if how == "two faces":
        t.equivocate(job.id, record, 2, "hunter")
        t.finalise(job.id, {0: VALID, 2: VALID})  # the seat that lied is counted no more
        t.finalise(job.id, {0: VALID, 1: VALID})
    if how in ("lapse", "by time", "by time after all"):
        t.world.go_to(record.at + (2 if how == "lapse" else 1) * job.terms.window + offset)
        if how != "lapse":
            t.finalise(job.id, {pick % 3: FETCHED}, by_time=True)
        else:
            t.judge("lapse", job.id)
    if how in ("defend", "undo"):
        t.finalise(job.id, {0: VALID, 1: FETCHED, 2: FETCHED})  # one valid verdict of three is not enough
        t.finalise(job.id, {0: VALID, 2: VALID})
    if how == "undo" and offset:
        t.world.go_to(record.at + job.terms.window + min(offset, 0))
    if how in ("prove", "condemn", "undo"):
        t.condemn(job.id, record, [0, 1], "hunter")


def desert(t: Town, job: Job, name: str, offset: int) -> None:
    """Trainers leave a round until too few are left, another comes, and the round is regrouped, or nearly."""
    other = COORDINATORS[(job.members[name].index + 1) % 3]
    if offset > 0:  # before the round is opened: then nobody waits for a patience
        t.anchor(job.id, name, len(job.part))
    for leaver in job.part[:2]:
        t.leave(job.id, leaver)
        t.leave(job.id, leaver)
        t.enrol(job.id, leaver, TRAINER)
    if offset > 0:
        t.finalise(job.id, {0: VALID, 1: VALID})
    t.world.go_to(job.opened_at + job.terms.patience + min(offset, 0))
    if offset > 0:
        t.simple("takeover", job.id, other)
    t.simple("regroup", job.id)
    t.enrol(job.id, TRAINERS[3], TRAINER)
    t.simple("takeover", job.id, other)
    t.simple("regroup", job.id)
