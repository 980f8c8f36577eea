from __future__ import annotations

import pytest

from hansa.rounds import events as facts
from hansa.rounds.ballots import deciding_valid, deciding_wrong, witnesses
from hansa.rounds.job import JobState
from tests.rounds.states import JOB, V, after, anchored, box, enrolled, running


def judged(seats: int = 3) -> JobState:
    return anchored(running(seats))


@pytest.mark.parametrize(
    ("seats", "votes", "enough"), [(3, "vv-", True), (3, "v--", False), (3, "vff", False), (7, "vvvvv--", True), (7, "vvvvfww", False)]
)
def test_two_thirds_valid_decide(seats: int, votes: str, enough: bool) -> None:
    chosen = deciding_valid(judged(seats), box(votes))
    assert bool(chosen) is enough and {ballot.judgement.name for ballot in chosen} <= {"VALID"}


@pytest.mark.parametrize(
    ("seats", "votes", "seen"), [(3, "f--", 1), (3, "w--", 0), (7, "vf-----", 0), (7, "vff----", 3), (7, "vffwwww", 3)]
)
def test_r5_witnesses_are_those_who_fetched_and_a_third_is_needed(seats: int, votes: str, seen: int) -> None:
    assert len(witnesses(judged(seats), box(votes))) == seen


@pytest.mark.parametrize(
    ("seats", "votes", "decides"), [(3, "ww-", True), (3, "wx-", False), (3, "w--", False), (7, "wwwwwxv", True), (7, "wwwwxxx", False)]
)
def test_r7_two_thirds_must_name_the_same_other_digest(seats: int, votes: str, decides: bool) -> None:
    digest, ballots = deciding_wrong(judged(seats), box(votes))
    assert bool(ballots) is decides and digest == (b"w" * 32 if decides else b"")
    assert all(ballot.digest == digest for ballot in ballots)


def test_ballots_come_in_order_of_their_seats() -> None:
    backwards = dict(sorted(box("vvvvvvv").items(), reverse=True))
    assert [ballot.seat for ballot in deciding_valid(judged(7), backwards)] == list(range(7))


def test_a_seat_that_is_out_does_not_count_though_the_threshold_stays() -> None:
    state = after(judged(), facts.Penalised(job=JOB, account=V[0], role=3, amount=50, out=True))
    assert deciding_valid(state, box("vv-")) == () and len(deciding_valid(state, box("vvv"))) == 2
    assert deciding_wrong(state, box("ww-")) == (b"", ()) and witnesses(state, box("f--")) == ()


def test_nobody_decides_before_there_are_seats() -> None:
    assert deciding_valid(enrolled(), {}) == () == witnesses(enrolled(), {}) and deciding_wrong(enrolled(), {}) == (b"", ())
