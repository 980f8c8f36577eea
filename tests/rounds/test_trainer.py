from __future__ import annotations

import pytest

from hansa.rounds import duties
from hansa.rounds import events as facts
from hansa.rounds.job import JobState
from hansa.rounds.trainer import TrainerFacts, trainer_duties
from tests.rounds.states import CLIENT, JOB, OUTSIDER, TERMS, C, T, V, after, anchored, challenged, finalised, names, round_opened, running

MADE = TrainerFacts(updates=frozenset({(1, running().base)}))


def due(state: JobState, own: TrainerFacts | None = None, now: float = 101) -> list[str]:
    return names(trainer_duties(state, T[0], own or TrainerFacts(), now))


def received(*receipts: tuple[int, int, str]) -> TrainerFacts:
    return TrainerFacts(updates=MADE.updates, receipts=frozenset(receipts))


def test_it_trains_once_and_brings_the_update_until_there_is_a_receipt() -> None:
    assert due(running()) == ["Train"] and due(running(), MADE) == ["Submit"] and due(running(), received((1, 0, C[0]))) == []


def test_it_trains_again_on_another_base_and_not_for_another_attempt() -> None:
    assert due(finalised(1), MADE) == ["Train"]
    again = after(anchored(), round_opened(anchored(), 1, 1, 200, C[1]))
    assert due(again, received((1, 0, C[0])), 201) == ["Submit"]


def test_a_receipt_binds_only_the_coordinator_that_gave_it() -> None:
    state = after(running(), round_opened(running(), 1, 0, 190, C[1]))
    assert trainer_duties(state, T[0], received((1, 0, C[0])), 191) == [duties.Submit(JOB, 1, 0, C[1], 1)]


def test_r5_without_a_receipt_it_goes_to_the_ledger_while_that_can_help() -> None:
    assert due(running(), MADE, 139) == ["Submit"] and due(running(), MADE, 140) == ["Submit", "RegisterUpdate"]
    assert due(running(), MADE, 149) == ["Submit", "RegisterUpdate"] and due(running(), MADE, 150) == ["Submit"]
    assert due(running(), received((1, 0, C[0])), 140) == []


def test_r5_it_registers_once_an_attempt() -> None:
    registered = facts.UpdateRegistered(job=JOB, at=141, round=1, attempt=0, trainer=T[0], update=b"d" * 32)
    assert due(after(running(), registered), MADE, 142) == ["Submit"]


def test_with_nobody_in_office_there_is_nobody_to_bring_it_to() -> None:
    state = after(anchored(), round_opened(anchored(), 1, 1, 200, "0x" + "00" * 20))
    assert due(state, MADE, 201) == []


@pytest.mark.parametrize("state", [anchored(), challenged()], ids=["anchored", "challenged"])
def test_it_rests_while_an_anchor_is_judged(state: JobState) -> None:
    assert due(state, MADE) == []


def test_after_the_deadline_it_trains_for_nobody() -> None:
    assert due(running(), now=TERMS.deadline) == [] and due(running(), now=TERMS.deadline + 99) == ["Expire"]


def test_it_keeps_the_job_moving_when_all_others_are_silent() -> None:
    assert due(anchored(), MADE, 120 + 2 * TERMS.window + 40) == ["Lapse"]


def test_at_the_end_it_gets_its_stake_and_one_claim_for_all() -> None:
    state = after(
        finalised(4), *(facts.MilestoneSettled(job=JOB, milestone=each, net=1, credits=b"", model=b"") for each in (0, 1)),
        facts.JobClosed(job=JOB, reason=1),
    )  # fmt: skip
    assert trainer_duties(state, T[0], TrainerFacts(), 900) == [duties.Release(JOB), duties.Claim(JOB, 1)]
    released = after(state, facts.MemberReleased(job=JOB, account=T[0]))
    assert due(released) == ["Claim"] and due(released, TrainerFacts(claimed=frozenset({1}))) == []


def test_a_cancelled_job_owes_only_the_stake() -> None:
    assert due(after(running(), facts.JobClosed(job=JOB, reason=3))) == ["Release"]


@pytest.mark.parametrize("stranger", [C[0], V[0], CLIENT, OUTSIDER])
def test_who_is_no_trainer_owes_nothing(stranger: str) -> None:
    assert trainer_duties(running(), stranger, TrainerFacts(), 101) == []
