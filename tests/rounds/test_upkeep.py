from __future__ import annotations

import pytest

from hansa.rounds import duties
from hansa.rounds import events as facts
from hansa.rounds.job import JobState
from hansa.rounds.upkeep import COURTESY, GRACE, rank_of, upkeep
from tests.rounds.states import (
    CLIENT,
    JOB,
    OUTSIDER,
    TERMS,
    C,
    T,
    V,
    after,
    anchored,
    box,
    challenged,
    enrolled,
    finalised,
    names,
    round_opened,
    running,
)  # fmt: skip

WINDOW_ENDS = 120 + TERMS.window


def due(state: JobState, now: float, votes: str = "", rank: int = 0) -> list[str]:
    return names(upkeep(state, {(1, 0): box(votes)}, now, rank))


def revealed(state: JobState, number: int) -> JobState:
    return after(state, *(facts.Revealed(job=JOB, account=each) for each in V[:number]))


def settled(state: JobState, *milestones: int) -> JobState:
    return after(state, *(facts.MilestoneSettled(job=JOB, milestone=each, net=1, credits=b"", model=b"") for each in milestones))


def test_everybody_has_a_turn_of_his_own() -> None:
    state = running()
    turns = [rank_of(state, each) for each in (C[0], C[1], C[2], *V[:3], *T, CLIENT)]
    assert turns[0] == 0 and len(set(turns)) == len(turns) and rank_of(state, OUTSIDER) == rank_of(state, CLIENT)
    assert rank_of(enrolled(), V[0]) == 4


def test_enrolment_that_is_enough_starts_when_it_ends() -> None:
    assert due(enrolled(), 99) == [] and due(enrolled(), 100) == ["Start"]


@pytest.mark.parametrize("missing", [{"trainers": 2}, {"coordinators": 0}, {"verifiers": 2}, {"trainers": 2, "verifiers": 5}])
def test_silence_too_few_enrol(missing: dict[str, int]) -> None:
    assert due(enrolled(**missing), 99) == [] and due(enrolled(**missing), 100) == ["Cancel"]


def test_r8_a_surplus_waits_for_the_reveals() -> None:
    state = enrolled(verifiers=5)
    assert due(state, 139) == [] == due(revealed(state, 4), 139)
    assert due(revealed(state, 5), 101) == ["Start"] == due(revealed(state, 3), 140)


def test_r8_silence_too_few_reveal() -> None:
    assert due(revealed(enrolled(verifiers=5), 2), 139) == [] and due(revealed(enrolled(verifiers=5), 2), 140) == ["Cancel"]


@pytest.mark.parametrize("state", [enrolled(), running()], ids=["enrolling", "open"])
def test_silence_all_coordinators_and_the_deadline(state: JobState) -> None:
    assert "Expire" not in due(state, TERMS.deadline - 1) and due(state, TERMS.deadline) == ["Expire"]


def test_two_thirds_valid_end_a_round_at_once() -> None:
    assert due(anchored(), 121, "vv-") == ["Finalise"] and due(anchored(), 121, "v--") == []
    [duty] = upkeep(anchored(), {(1, 0): box("vvw")}, 121, 0)
    assert isinstance(duty, duties.Finalise) and not duty.by_time and [ballot.seat for ballot in duty.ballots] == [0, 1]


def test_verdicts_on_another_attempt_decide_nothing() -> None:
    assert upkeep(anchored(), {(1, 1): box("vvv"), (2, 0): box("vvv")}, 121, 0) == []


def test_r5_silence_verifiers_below_two_thirds() -> None:
    assert due(anchored(), WINDOW_ENDS - 1, "f--") == [] and due(anchored(), WINDOW_ENDS, "f--") == ["Finalise"]
    [duty] = upkeep(anchored(), {(1, 0): box("v--")}, WINDOW_ENDS, 0)
    assert isinstance(duty, duties.Finalise) and duty.by_time


def test_r5_silence_verifiers_below_a_third() -> None:
    assert due(anchored(), WINDOW_ENDS + 39, "w--") == [] and due(anchored(), WINDOW_ENDS + 40, "w--") == ["Lapse"]


def test_r7_two_thirds_wrong_condemn_before_all_else() -> None:
    assert due(anchored(), 121, "ww-") == ["Condemn"] == due(challenged(), 131, "ww-")
    [duty] = upkeep(anchored(), {(1, 0): box("vww")}, WINDOW_ENDS + 99, 0)
    assert isinstance(duty, duties.Condemn) and duty.digest == b"w" * 32 and [ballot.seat for ballot in duty.ballots] == [1, 2]


def test_r7_silence_the_challengers_side() -> None:
    assert due(challenged(130), 169, "vw-") == [] and due(challenged(130), 170, "vw-") == ["VoidRound"]
    assert due(challenged(130), 170, "vv-") == ["Finalise"]


def test_r7_a_challenged_round_never_ends_by_time() -> None:
    assert due(challenged(130), 169, "ff-") == []


def test_r7_proof_against_a_final_round_counts_until_its_window_ends() -> None:
    state = finalised(3)
    ends = state.final[1].anchored_at + TERMS.window
    boxes = {(2, 0): box("ww-")}
    [duty] = upkeep(state, boxes, ends - 1, 0)
    assert isinstance(duty, duties.Condemn) and (duty.round, duty.anchor) == (2, state.final[1].anchor)
    assert "Condemn" not in names(upkeep(state, boxes, ends, 0))


def test_silence_client_after_delivery() -> None:
    state = finalised(2)
    firm = state.final[1].anchored_at + TERMS.window
    assert due(state, firm - 1) == [] and due(state, firm) == ["Settle"]
    assert upkeep(state, {}, firm, 0) == [duties.Settle(JOB, 0)] and due(settled(state, 0), firm) == []


def test_milestones_settle_in_order() -> None:
    state = finalised(4)
    assert upkeep(state, {}, 1_000, 0) == [duties.Settle(JOB, 0)] and upkeep(settled(state, 0), {}, 1_000, 0) == [duties.Settle(JOB, 1)]


def test_silence_anyone_at_the_end() -> None:
    state = settled(finalised(4), 0, 1)
    assert due(state, 1_000) == ["Close"] and due(after(state, facts.JobClosed(job=JOB, reason=1)), 9_999) == []


def test_delivered_work_is_settled_and_not_refunded_at_the_deadline() -> None:
    state = finalised(2)
    late = after(state, round_opened(state, 3, 0, 1_950))
    assert due(late, TERMS.deadline) == ["Settle"] and due(settled(late, 0), TERMS.deadline) == ["Expire"]
    assert due(anchored(), TERMS.deadline, "f--") == ["Finalise"] and due(finalised(4), TERMS.deadline) == ["Settle"]


def test_what_nobody_settled_before_the_escrow_expired_is_refunded() -> None:
    lost = TERMS.deadline + 4 * TERMS.window
    assert due(finalised(4), lost - 1) == ["Settle"] and due(finalised(4), lost) == ["Expire"]
    assert due(settled(finalised(4), 0, 1), lost) == ["Close"]


def test_a_complete_milestone_inside_its_window_holds_the_expiry_back() -> None:
    state = finalised(1)
    second = anchored(state, TERMS.deadline - 10)
    final = facts.RoundFinalised(job=JOB, at=TERMS.deadline - 5, round=2, attempt=0, by_time=False, seats=3)
    open_again = after(second, final)
    open_again = after(open_again, round_opened(open_again, 3, 0, TERMS.deadline - 5))
    assert due(open_again, TERMS.deadline) == [] and due(open_again, TERMS.deadline + 30) == ["Settle"]


def test_a_decided_round_waits_a_moment_for_those_who_would_else_not_be_paid() -> None:
    state = anchored()
    assert due(state, state.anchored_at + 0.5, "vv-") == []
    assert due(state, state.anchored_at + 0.5, "vvf") == ["Finalise"]
    assert due(state, state.anchored_at + COURTESY, "vv-") == ["Finalise"]


@pytest.mark.parametrize(
    ("state", "since", "votes"),
    [
        (enrolled(), 100, ""), (anchored(), 120, "vvv"), (anchored(), 120, "ww-"), (anchored(), WINDOW_ENDS, "f--"),
        (challenged(), 170, ""), (finalised(2), finalised(2).final[1].anchored_at + TERMS.window, ""), (running(), TERMS.deadline, ""),
    ],
    ids=["start", "finalise", "condemn", "by time", "void", "settle", "expire"],
)  # fmt: skip
def test_every_rank_waits_for_its_turn(state: JobState, since: float, votes: str) -> None:
    for rank in (1, 3):
        turn = since + rank * GRACE
        assert due(state, turn - 0.5, votes, rank) == [] and len(due(state, turn, votes, rank)) == 1
