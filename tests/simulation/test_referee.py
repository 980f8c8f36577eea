"""Every call of the referee where it answers, and where it refuses as the contract reverts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hansa.core.types import Judgement, Role
from hansa.rounds.job import Phase
from hansa.simulation.company import BUDGET, CLIENT
from hansa.simulation.purse import Purse, net_of
from hansa.simulation.referee import Referee
from hansa.simulation.seal import ballot, digest_of
from tests.simulation.court import RICH, SALT, VALUE, C, Court, T, V, refused, votes


def test_open_takes_the_budgets_and_refuses_terms_that_do_not_fit() -> None:
    court = Court(start=False)
    assert court.purse.escrow == {0: BUDGET} and court.job.nets == (net_of(BUDGET),) and court.purse.conserved()
    refused(lambda: court.referee.open(CLIENT, court.terms, [BUDGET]), "open already")
    for wrong, sentence in (
        ({"milestones": 3}, "one budget"), ({"deadline": 1_030}, "must fit"), ({"enrol_by": 1_000}, "must fit"), ({"quorum": 0}, "bounds"),
        ({"quorum": 5}, "bounds"), ({"verifiers": 33}, "bounds"),
    ):  # fmt: skip
        other = Referee(court.clock, Purse({CLIENT: RICH}))
        refused(lambda other=other, wrong=wrong: other.open(CLIENT, replace(court.terms, **wrong), [BUDGET]), sentence)  # type: ignore[misc]


def test_enrol_locks_the_stake_and_gives_one_role() -> None:
    court = Court(start=False)
    court.enrol()
    assert court.purse.locks[C[0]] == 10_000 and court.job.trainers == tuple(T)
    refused(lambda: court.referee.enrol(T[0], Role.COORDINATOR), "has a role")
    refused(lambda: court.referee.enrol("anyone", Role.TRAINER), "every place")
    refused(lambda: court.referee.enrol("anyone", Role.COORDINATOR), "free stake")
    refused(lambda: court.referee.enrol("anyone", Role.VERIFIER), "commit to a value")
    refused(lambda: court.referee.enrol("anyone", Role.COORDINATOR, b"c" * 32), "others to none")
    court.to(20)
    refused(lambda: court.referee.enrol("anyone", Role.VERIFIER, b"c" * 32), "has ended")


def test_start_by_the_client_early_and_by_anyone_from_the_end_of_enrolment() -> None:
    court = Court(start=False)
    court.enrol()
    refused(lambda: court.referee.start("anyone"), "still runs")
    court.to(20)
    court.referee.start("anyone")
    assert court.job.verifiers == tuple(V[:3]) and court.job.coordinator == C[0] and court.job.phase is Phase.OPEN
    refused(lambda: court.referee.start("anyone"), "not enrolling")
    refused(lambda: court.referee.cancel("anyone"), "not enrolling")


@pytest.mark.parametrize(("there", "missing"), [((2, 3, 3), "trainers"), ((4, 0, 3), "coordinators"), ((4, 3, 2), "verifiers")])
def test_silence_too_few_enrol_is_cancelled_and_refunded(there: tuple[int, int, int], missing: str) -> None:
    court = Court(start=False)
    court.enrol(*there)
    refused(lambda: court.referee.start(CLIENT), f"too few {missing}")
    refused(lambda: court.referee.cancel("anyone"), "still runs")
    court.to(20)
    court.referee.cancel("anyone")
    assert court.job.closed == 3 and court.purse.credit[CLIENT] == BUDGET
    court.referee.release("anyone", T[0])
    assert T[0] not in court.purse.locks and court.purse.conserved()


def test_what_is_enough_is_not_cancelled() -> None:
    court = Court(start=False)
    court.enrol()
    court.to(20)
    refused(lambda: court.referee.cancel("anyone"), "enough enrolled")


def test_r8_the_draw_waits_for_reveals_and_excludes_who_withholds() -> None:
    court = Court(start=False)
    court.enrol(verifiers=5)
    refused(lambda: court.referee.start(CLIENT), "still runs")
    refused(lambda: court.referee.reveal(V[0], VALUE, SALT), "within one window")
    court.to(20)
    refused(lambda: court.referee.reveal(V[0], b"?" * 32, SALT), "another value")
    refused(lambda: court.referee.reveal(T[0], VALUE, SALT), "nothing to reveal")
    for name in V[:4]:
        court.referee.reveal(name, VALUE, SALT)
    refused(lambda: court.referee.reveal(V[0], VALUE, SALT), "nothing to reveal")
    refused(lambda: court.referee.start("anyone"), "not every candidate")
    court.to(36)
    refused(lambda: court.referee.reveal(V[4], VALUE, SALT), "within one window")
    court.referee.start("anyone")
    assert len(court.job.verifiers) == 3 and V[4] not in court.job.verifiers
    refused(lambda: court.referee.release("anyone", court.job.verifiers[0]), "bound until")
    court.referee.release("anyone", V[4])
    assert court.purse.staked[V[4]] == 20_000 - 500
    refused(lambda: court.referee.release("anyone", "anyone"), "no role")


def test_r8_too_few_reveals_are_cancelled_only_when_time_is_up() -> None:
    court = Court(start=False)
    court.enrol(verifiers=5)
    court.to(20)
    court.referee.reveal(V[0], VALUE, SALT)
    refused(lambda: court.referee.cancel("anyone"), "still have time")
    court.to(36)
    refused(lambda: court.referee.start("anyone"), "too few candidates")
    court.referee.cancel("anyone")
    court.referee.release("anyone", V[1])
    assert court.purse.staked[V[1]] == 20_000 - 500 and court.purse.conserved()


def test_register_update_once_an_attempt_by_a_trainer_of_the_open_round() -> None:
    court = Court()
    court.referee.register_update(T[0], 1, b"d" * 32)
    refused(lambda: court.referee.register_update(T[0], 1, b"e" * 32), "already")
    refused(lambda: court.referee.register_update(T[1], 2, b"e" * 32), "round 1 is open")
    refused(lambda: court.referee.register_update(C[0], 1, b"e" * 32), "no trainer")
    court.anchor()
    refused(lambda: court.referee.register_update(T[1], 1, b"e" * 32), "anchored, not open")


def test_anchor_only_by_who_is_in_office_about_what_is_open() -> None:
    court = Court()
    refused(lambda: court.referee.anchor(C[1], court.draft()), "not the coordinator")
    for other, sentence in (
        ({"round": 2}, "another round"), ({"attempt": 1}, "another round"), ({"job": 2}, "another round"),
        ({"base": b"?" * 32}, "another model"),
        ({"accepted": 2}, "2 updates; quorum 3 of 4"), ({"accepted": 5}, "quorum"),
    ):  # fmt: skip
        refused(lambda other=other: court.anchor(**other), sentence)  # type: ignore[misc]
    court.anchor()
    refused(lambda: court.referee.anchor(C[0], court.job.anchor or court.draft()), "anchored, not open")


def test_nothing_is_anchored_from_the_deadline_on() -> None:
    court = Court()
    court.to(300)
    refused(court.anchor, "after the deadline")
    refused(lambda: court.referee.takeover(C[1]), "deadline")


def test_finalise_needs_two_thirds_valid_signed_and_seated() -> None:
    court = Court()
    anchor = court.anchor()
    refused(lambda: court.referee.finalise("anyone", anchor, votes(anchor, "v--")), "1 valid verdicts of 3")
    refused(lambda: court.referee.finalise("anyone", anchor, votes(anchor, "vff")), "not two thirds")
    refused(lambda: court.referee.finalise("anyone", anchor, votes(anchor, "vww")), "does not belong here")
    refused(lambda: court.referee.finalise("anyone", anchor, votes(anchor, "vv-")[::-1]), "ascending")
    refused(lambda: court.referee.finalise("anyone", anchor, votes(anchor, "v--") * 2), "named once")
    stolen = [replace(votes(anchor, "v--")[0], seat=1)]
    refused(lambda: court.referee.finalise("anyone", anchor, votes(anchor, "v--") + stolen), "seat 1 did not sign")
    refused(lambda: court.referee.finalise("anyone", anchor, [replace(stolen[0], seat=3)]), "no seat 3")
    other = replace(anchor, model=b"?" * 32)
    refused(lambda: court.referee.finalise("anyone", anchor, votes(other, "vv-")), "did not sign")
    refused(lambda: court.referee.finalise("anyone", other, votes(other, "vv-")), "another anchor")
    court.referee.finalise("anyone", anchor, votes(anchor, "vvf"))
    assert court.job.final[0].seats == 7 and court.job.round == 2 and court.job.base == anchor.model


def test_r5_finality_by_time_needs_the_window_a_third_and_no_challenge() -> None:
    court = Court(start=False, verifiers=3)
    court.enrol()
    court.referee.start(CLIENT)
    anchor = court.anchor()
    refused(lambda: court.referee.finalise_by_time("anyone", anchor, votes(anchor, "f--")), "window still runs")
    court.to(16)
    refused(lambda: court.referee.finalise_by_time("anyone", anchor, []), "less than a third")
    refused(lambda: court.referee.finalise_by_time("anyone", anchor, votes(anchor, "w--")), "does not belong")
    court.referee.finalise_by_time("anyone", anchor, votes(anchor, "f--"))
    assert court.job.final[0].by_time
    second = court.anchor()
    court.referee.challenge(V[2], second)
    court.to(40)
    refused(lambda: court.referee.finalise_by_time("anyone", second, votes(second, "ff-")), "the job is challenged")


def test_r5_an_anchor_lapses_after_two_windows_and_costs_half() -> None:
    court = Court()
    anchor = court.anchor()
    court.to(31)
    refused(lambda: court.referee.lapse("anyone", anchor), "two windows")
    court.to(32)
    court.referee.lapse("anyone", anchor)
    assert court.purse.staked[C[0]] == 15_000 and (court.job.attempt, court.job.coordinator) == (1, C[1])
    assert court.job.removed == () and court.purse.credit[CLIENT] == 2_000 and court.purse.burned == 3_000


def test_r7_challenge_inside_the_window_for_a_bond() -> None:
    court = Court()
    anchor = court.anchor()
    court.to(15)
    court.referee.challenge("anyone", anchor)
    assert court.purse.bonds == {"anyone": 500}
    refused(lambda: court.referee.challenge(V[0], anchor), "the job is challenged")
    refused(lambda: court.referee.lapse("anyone", anchor), "the job is challenged")
    court.referee.finalise("anyone", anchor, votes(anchor, "vv-"))
    assert court.purse.credit[C[0]] == 250 and court.purse.burned == 250 and court.purse.conserved()
    late = court.anchor()
    court.to(31)
    refused(lambda: court.referee.challenge("anyone", late), "window has ended")


def test_r7_what_neither_side_proves_is_void_and_costs_nobody() -> None:
    court = Court()
    anchor = court.anchor()
    refused(lambda: court.referee.void_round("anyone", anchor), "the job is anchored")
    court.referee.challenge("anyone", anchor)
    court.to(15)
    refused(lambda: court.referee.void_round("anyone", anchor), "still have time")
    court.to(16)
    court.referee.void_round("anyone", anchor)
    assert court.purse.credit["anyone"] == 500 and court.purse.staked[C[0]] == 20_000 and court.job.coordinator == C[1]


def test_r7_two_thirds_wrong_take_everything() -> None:
    court = Court()
    anchor = court.anchor()
    wrong = votes(anchor, "ww-")
    refused(lambda: court.referee.condemn("anyone", anchor, b"w" * 32, votes(anchor, "w--")), "1 wrong verdicts")
    refused(lambda: court.referee.condemn("anyone", anchor, b"x" * 32, wrong), "one other digest")
    refused(lambda: court.referee.condemn("anyone", anchor, digest_of(anchor), votes(anchor, "ww-", digest_of(anchor))), "one other digest")
    court.referee.challenge(V[2], anchor)
    court.referee.condemn("anyone", anchor, b"w" * 32, wrong)
    assert court.purse.staked[C[0]] == 10_000 and court.purse.credit[V[2]] == 500 + 2_000 and court.purse.credit[CLIENT] == 4_000
    assert court.job.removed == (C[0],) and court.job.coordinator == C[1] and court.purse.conserved()
    refused(lambda: court.referee.condemn("anyone", anchor, b"w" * 32, wrong), "does not stand")
    refused(lambda: court.referee.takeover(C[0]), "cannot take over")


def test_r7_a_final_round_falls_inside_its_window_with_all_that_followed() -> None:
    court = Court(rounds=3)
    first, _ = court.finalise(), court.finalise()
    third = court.anchor()
    court.referee.challenge(V[2], third)
    court.to(15)
    court.referee.condemn("anyone", first, b"w" * 32, votes(first, "ww-"))
    assert (court.job.round, court.job.attempt, court.job.final, court.job.base) == (1, 1, (), court.terms.genesis)
    # Nobody challenged the first anchor: the finder's share burns, whoever sends the call.
    assert court.purse.credit[V[2]] == 500 and court.purse.credit["anyone"] == 0 and court.purse.conserved()


def test_r7_after_its_window_a_final_round_stands_for_good() -> None:
    court = Court()
    first = court.finalise()
    court.to(16)
    refused(lambda: court.referee.condemn("anyone", first, b"w" * 32, votes(first, "ww-")), "has ended")


def test_an_attempt_number_is_never_used_twice_for_one_round() -> None:
    court = Court(rounds=3)
    first = court.finalise()
    court.referee.register_update(T[0], 2, b"d" * 32)
    court.referee.condemn("anyone", first, b"w" * 32, votes(first, "ww-"))
    court.finalise()
    assert (court.job.round, court.job.attempt) == (2, 1)
    court.referee.register_update(T[0], 2, b"d" * 32)


def test_silence_of_a_coordinator_costs_a_tenth_and_the_last_one_stays() -> None:
    court = Court()
    court.to(23)
    refused(lambda: court.referee.takeover(C[1]), "still has time")
    court.to(24)
    refused(lambda: court.referee.takeover(C[0]), "cannot take over")
    refused(lambda: court.referee.takeover(T[0]), "cannot take over")
    court.referee.takeover(C[2])
    assert court.purse.staked[C[0]] == 19_000 and (court.job.coordinator, court.job.attempt) == (C[2], 0)
    refused(lambda: court.referee.takeover(C[0]), "still has time")


def test_who_loses_more_than_half_is_out() -> None:
    court = Court()
    for turn in range(12):
        court.to(24 * (turn + 1))
        if turn < 6:
            court.referee.takeover(C[1] if court.referee.coordinator == C[0] else C[0])
    assert court.job.removed == () and court.purse.staked[C[0]] == 17_000
    for _ in range(3):
        court.referee.cohort.penalise(C[0], 1_000, "", 0)
    assert court.job.removed == (C[0],)


def test_two_contradictory_verdicts_cost_the_seat_everything() -> None:
    court = Court()
    anchor = court.anchor()
    valid, wrong = ballot(V[0], 0, anchor, Judgement.VALID, digest_of(anchor)), ballot(V[0], 0, anchor, Judgement.WRONG, b"w" * 32)
    other = ballot(V[0], 0, anchor, Judgement.WRONG, b"x" * 32)
    fetched = ballot(V[0], 0, anchor, Judgement.FETCHED, bytes(32))
    for one, two in ((valid, valid), (wrong, wrong), (fetched, wrong), (valid, ballot(V[1], 1, anchor, Judgement.WRONG, b"w" * 32))):
        refused(lambda one=one, two=two: court.referee.equivocation("anyone", anchor, one, two), "contradict|belong")  # type: ignore[misc]
    refused(lambda: court.referee.equivocation("anyone", anchor, replace(valid, signature=b"?"), wrong), "did not sign")
    court.referee.equivocation("anyone", anchor, wrong, other)
    assert court.purse.staked[V[0]] == 15_000 and court.purse.credit["anyone"] == 1_000
    refused(lambda: court.referee.finalise("anyone", anchor, votes(anchor, "vv-")), "seat 0 is excluded")
