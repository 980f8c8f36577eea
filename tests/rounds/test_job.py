from __future__ import annotations

import pytest
from msgspec.structs import replace

from hansa.core.errors import ProtocolError
from hansa.core.types import ZERO_ADDRESS
from hansa.rounds import events as facts
from hansa.rounds.events import LedgerEvent
from hansa.rounds.job import JobState, Phase, apply
from tests.rounds.states import (
    CLIENT,
    GENESIS,
    JOB,
    OUTSIDER,
    TERMS,
    C,
    T,
    V,
    after,
    anchor,
    anchored,
    challenged,
    enrolled,
    finalised,
    opened,
    round_opened,
    running,
)  # fmt: skip


def registered(state: JobState, trainer: str, at: int, **other: int) -> facts.UpdateRegistered:
    where = {"round": state.round, "attempt": state.attempt, **other}
    return facts.UpdateRegistered(job=JOB, at=at, trainer=trainer, update=b"d" * 32, **where)


def fell(kind: type[facts.AnchorFell], at: int, round: int = 1) -> facts.AnchorFell:
    return kind(job=JOB, at=at, round=round, attempt=0, coordinator=C[0])


def test_enrolment_keeps_trainers_sorted_and_the_others_in_order() -> None:
    state = after(
        opened(),
        *(facts.Enrolled(job=JOB, account=each, role=role) for role, each in ((1, T[1]), (1, T[0]), (2, C[1]), (2, C[0]), (3, V[0]))),
    )
    assert (state.trainers, state.coordinators, state.candidates) == ((T[0], T[1]), (C[1], C[0]), (V[0],))
    assert state.client == CLIENT and state.base == GENESIS


def test_the_first_round_opens_on_the_genesis_model() -> None:
    state = running()
    assert (state.phase, state.round, state.attempt, state.base, state.coordinator, state.since) == (Phase.OPEN, 1, 0, GENESIS, C[0], 100)
    assert state.standbys == (C[1], C[2])


@pytest.mark.parametrize(("seats", "two_thirds", "one_third", "blocking"), [(1, 1, 1, 1), (3, 2, 1, 2), (4, 3, 2, 2), (7, 5, 3, 3)])
def test_shares_of_the_seats_are_rounded_up(seats: int, two_thirds: int, one_third: int, blocking: int) -> None:
    state = running(seats)
    assert (state.two_thirds(), state.one_third(), state.blocking()) == (two_thirds, one_third, blocking)


def test_a_round_from_anchor_to_the_next() -> None:
    state = finalised(1)
    assert (state.phase, state.round, state.attempt, state.anchor) == (Phase.OPEN, 2, 0, None)
    assert state.base == state.final[0].anchor.model and state.final[0].anchored_at == 120 and state.final[0].seats == 3


def test_the_last_round_leaves_nothing_to_open() -> None:
    assert finalised(4).phase is Phase.DONE


def test_r7_proof_against_an_earlier_round_undoes_all_that_followed() -> None:
    state = finalised(3)
    again = after(state, fell(facts.Condemned, 210), round_opened(state, 1, 1, 210, C[1]))
    assert (again.round, again.attempt, again.final, again.base, again.coordinator) == (1, 1, (), GENESIS, C[1])
    assert again.since == 210 and again.phase is Phase.OPEN


def test_r7_even_a_finished_job_is_reopened() -> None:
    state = finalised(4)
    again = after(state, fell(facts.Condemned, 300, 4), round_opened(state, 4, 1, 300, C[1]))
    assert again.phase is Phase.OPEN and len(again.final) == 3


@pytest.mark.parametrize("kind", [facts.Condemned, facts.Lapsed, facts.Voided])
def test_a_fallen_anchor_is_followed_by_a_new_attempt(kind: type[facts.AnchorFell]) -> None:
    state = challenged()
    again = after(
        state, fell(kind, 200), facts.CoordinatorReplaced(job=JOB, round=1, previous=C[0], next=C[1]), round_opened(state, 1, 1, 200, C[1])
    )
    assert (again.phase, again.attempt, again.anchor, again.challenger, again.coordinator) == (Phase.OPEN, 1, None, "", C[1])


def test_a_takeover_keeps_the_attempt_and_starts_a_new_patience() -> None:
    state = after(running(), registered(running(), T[0], 145))
    later = after(state, facts.CoordinatorReplaced(job=JOB, round=1, previous=C[0], next=C[1]), round_opened(state, 1, 0, 190, C[1]))
    assert (later.attempt, later.coordinator, later.since) == (0, C[1], 190) and later.registered_now() == {T[0]: b"d" * 32}


def test_nobody_in_office_is_nobody() -> None:
    state = challenged()
    assert after(state, round_opened(state, 1, 1, 200, ZERO_ADDRESS)).coordinator == ""


def test_who_is_out_is_no_standby_and_who_only_paid_is() -> None:
    paid = facts.Penalised(job=JOB, account=C[1], role=2, amount=10, out=False)
    out = facts.Penalised(job=JOB, account=C[2], role=2, amount=100, out=True)
    state = after(running(), paid, out, out)
    assert state.standbys == (C[1],) and state.removed == (C[2],)


def test_r5_a_registration_counts_only_while_it_can_still_be_met() -> None:
    state = running()
    assert (state.register_from(), state.register_until(), state.gather_until()) == (140, 150, 160)
    assert after(state, registered(state, T[0], 149)).registered_now() == {T[0]: b"d" * 32}
    assert after(state, registered(state, T[0], 150)).registered_now() == {}


def test_a_registration_does_not_outlive_its_attempt() -> None:
    state = after(running(), registered(running(), T[0], 140))
    assert after(anchored(state), round_opened(state, 1, 1, 200, C[1])).registered_now() == {}


def test_a_milestone_is_firm_a_window_after_its_last_anchor() -> None:
    assert finalised(1).firm_at(0) is None
    state = finalised(2)
    assert state.firm_at(0) == state.final[1].anchored_at + TERMS.window and state.firm_at(1) is None


def test_settlement_acceptance_and_the_end() -> None:
    settled = facts.MilestoneSettled(job=JOB, milestone=0, net=1000, credits=b"c", model=b"m")
    state = after(
        finalised(2), settled, facts.ShardOpened(job=JOB, milestone=0, digest=b"q"),
        facts.ModelAccepted(job=JOB, milestone=0, model=b"m", metric=1, baseline=0), facts.JobClosed(job=JOB, reason=2),
        facts.MemberReleased(job=JOB, account=T[0]), facts.MemberReleased(job=JOB, account=T[0]),
    )  # fmt: skip
    assert (state.settled, state.shards, state.accepted, state.closed) == ((0,), ((0, b"q"),), ((0, b"m"),), 2)
    assert state.phase is Phase.CLOSED and state.released == (T[0],)


def left(account: str, at: int = 110) -> facts.Left:
    return facts.Left(job=JOB, at=at, account=account)


def joined(account: str, at: int = 110) -> facts.Enrolled:
    return facts.Enrolled(job=JOB, at=at, account=account, role=1)


def test_joining_and_leaving_count_from_the_next_opening_on() -> None:
    state = after(running(max_trainers=5), joined(OUTSIDER), left(T[0]))
    assert state.trainers == tuple(T) and state.joined == (OUTSIDER,) and state.left == (T[0],)
    assert state.present == (*T[1:], OUTSIDER) and state.registered_now() == {}
    following = finalised(1, state)
    assert following.trainers == (*T[1:], OUTSIDER) and following.joined == ()
    assert following.members(1) == tuple(T) and following.members(2) == following.trainers and following.members(3) == ()


def test_a_takeover_changes_nothing_of_who_takes_part() -> None:
    state = after(running(max_trainers=5), joined(OUTSIDER), left(T[0]))
    later = after(state, round_opened(state, 1, 0, 190, C[1]))
    assert (later.trainers, later.joined) == (tuple(T), (OUTSIDER,))


@pytest.mark.parametrize("kind", [facts.Condemned, facts.Lapsed, facts.Voided])
def test_another_attempt_goes_on_with_who_is_seated(kind: type[facts.AnchorFell]) -> None:
    state = after(anchored(running(max_trainers=5)), joined(OUTSIDER), left(T[0]), fell(kind, 200))
    assert after(state, round_opened(state, 1, 1, 200, C[1])).trainers == (*T[1:], OUTSIDER)


def test_r7_a_round_that_later_proof_undid_goes_on_with_who_is_seated() -> None:
    state = after(finalised(2), left(T[3]), fell(facts.Condemned, 210))
    again = after(state, round_opened(state, 1, 1, 210, C[1]))
    assert again.trainers == tuple(T[:3]) and again.members(1) == tuple(T[:3])
    # An attempt number is never used again, though the third round was opened and never anchored.
    assert again.attempts == (2, 1, 1)
    rerun = finalised(2, after(state, round_opened(state, 1, 1, 210, C[1])), attempts=(1, 1))
    with pytest.raises(ProtocolError):
        after(rerun, facts.RoundFinalised(job=JOB, round=3, attempt=0, by_time=False, seats=3))
    assert (rerun.round, rerun.attempt, rerun.attempts) == (3, 1, (2, 2, 2))


def test_a_newcomer_that_leaves_before_its_first_round_was_never_there() -> None:
    state = after(running(max_trainers=5), joined(OUTSIDER), left(OUTSIDER))
    assert state.present == tuple(T) and finalised(1, state).trainers == tuple(T) and state.has_member(OUTSIDER)


def test_an_anchor_is_measured_by_who_takes_part_and_not_by_who_is_seated() -> None:
    state = after(running(max_trainers=5), left(T[0]))
    fact = facts.RoundAnchored(job=JOB, round=1, coordinator=C[0], anchor=anchor(state, accepted=3), anchored_at=149)
    assert after(state, fact).premature()
    newcomer = after(running(max_trainers=5), joined(OUTSIDER))
    whole = replace(fact, anchor=anchor(newcomer, accepted=4))
    assert not after(newcomer, whole).premature() and not after(anchored(running(max_trainers=5)), joined(OUTSIDER)).premature()


def test_a_round_that_was_opened_with_too_few_is_opened_anew_as_soon_as_there_are_enough() -> None:
    state = finalised(1, after(running(), left(T[0]), left(T[1])))
    assert state.trainers == tuple(T[2:]) and state.deserted and state.regroup_from() is None
    enough = after(state, joined(OUTSIDER, 500))
    assert enough.regroup_from() == 500
    again = after(enough, round_opened(enough, 2, 1, 510))
    assert again.trainers == (*T[2:], OUTSIDER) and not again.deserted and again.attempts == (1, 2)


def test_a_round_that_trainers_left_keeps_its_patience_for_what_they_delivered() -> None:
    state = after(running(max_trainers=5), left(T[0]), left(T[1]), joined(OUTSIDER))
    assert state.deserted and state.regroup_from() == 100 + TERMS.patience
    assert not after(running(max_trainers=5), left(T[0]), joined(OUTSIDER)).deserted


def test_trainers_come_as_long_as_a_whole_patience_is_left() -> None:
    assert enrolled().enrol_until() == TERMS.enrol_by and running().enrol_until() == TERMS.deadline - TERMS.patience


def gaps() -> list[tuple[str, JobState, LedgerEvent]]:
    open_now, judged, two = running(), anchored(), finalised(2)
    settled = facts.MilestoneSettled(job=JOB, milestone=0, net=1, credits=b"", model=b"")
    closed = after(two, facts.JobClosed(job=JOB, reason=2))
    fact = facts.RoundAnchored(job=JOB, round=1, coordinator=C[0], anchor=anchor(open_now), anchored_at=120)
    return [
        ("another job", open_now, facts.JobClosed(job=8, reason=1)),
        ("a coordinator's enrolment after the start", open_now, facts.Enrolled(job=JOB, account=OUTSIDER, role=2)),
        ("enrolment after the end", closed, facts.Enrolled(job=JOB, account=OUTSIDER, role=1)),
        ("a trainer that comes twice", open_now, facts.Enrolled(job=JOB, account=T[0], role=1)),
        ("a trainer that comes back", after(open_now, left(T[0])), facts.Enrolled(job=JOB, account=T[0], role=1)),
        ("a stranger that leaves", open_now, left(OUTSIDER)),
        ("a coordinator that leaves", open_now, left(C[0])),
        ("a trainer that leaves twice", after(open_now, left(T[0])), left(T[0])),
        ("a trainer that leaves before the start", enrolled(), left(T[0])),
        ("a trainer that leaves after the end", closed, left(T[0])),
        ("an attempt that was skipped", judged, round_opened(judged, 1, 2, 200)),
        ("a regrouping for nobody", after(open_now, left(T[0]), left(T[1])), round_opened(open_now, 1, 1, 200)),
        ("a role nobody knows", opened(), facts.Enrolled(job=JOB, account=OUTSIDER, role=9)),
        ("a round before the seats", enrolled(), round_opened(enrolled(), 1, 0, 100)),
        ("the same anchor twice", judged, fact),
        ("an anchor of another round", open_now, replace(fact, round=2)),
        ("an anchor of another attempt", open_now, replace(fact, anchor=replace(fact.anchor, attempt=1))),
        ("a challenge before the anchor", open_now, facts.Challenged(job=JOB, round=1, attempt=0, challenger=V[0], voids_at=9)),
        ("a second challenge", challenged(), facts.Challenged(job=JOB, round=1, attempt=0, challenger=V[1], voids_at=9)),
        ("finality without an anchor", open_now, facts.RoundFinalised(job=JOB, round=1, attempt=0, by_time=False, seats=3)),
        ("finality of another attempt", judged, facts.RoundFinalised(job=JOB, round=1, attempt=1, by_time=False, seats=3)),
        ("a round ahead", open_now, replace(round_opened(open_now, 1, 0, 200), round=2)),
        ("a round on another model", two, replace(round_opened(two, 3, 0, 200), base=b"?" * 32)),
        ("an attempt used before", judged, round_opened(judged, 1, 0, 200)),
        ("an undo without a new attempt", two, round_opened(two, 1, 0, 200)),
        ("a new attempt of a round that was never anchored", open_now, round_opened(open_now, 1, 1, 200)),
        ("a registration of another round", open_now, registered(open_now, T[0], 140, round=2)),
        ("a registration while an anchor is judged", judged, registered(judged, T[0], 140)),
        ("a milestone that is not complete", finalised(1), settled),
        ("a milestone out of order", two, replace(settled, milestone=1)),
        ("a milestone twice", after(two, settled), settled),
        ("an end after the end", closed, facts.JobClosed(job=JOB, reason=1)),
        ("a round after the end", closed, round_opened(closed, 3, 0, 300)),
        ("a fact for the market", opened(), facts.JobOpened(job=JOB, client=CLIENT, terms=TERMS, nets=())),
    ]


@pytest.mark.parametrize(("what", "state", "event"), gaps(), ids=[what for what, _, _ in gaps()])
def test_a_fact_that_cannot_follow_is_refused(what: str, state: JobState, event: LedgerEvent) -> None:
    with pytest.raises(ProtocolError):
        apply(state, event)


def test_the_refusal_says_what_to_do() -> None:
    with pytest.raises(ProtocolError, match="events were missed, read the job from the ledger's state again"):
        apply(running(), facts.RoundFinalised(job=JOB, round=1, attempt=0, by_time=False, seats=3))


def test_r5_an_anchor_that_lacks_a_trainer_is_premature_while_that_could_still_register() -> None:
    fact = facts.RoundAnchored(job=JOB, round=1, coordinator=C[0], anchor=anchor(running(), accepted=3), anchored_at=149)
    assert after(running(), fact).premature() and not after(running(), replace(fact, anchored_at=150)).premature()
    assert not anchored().premature() and not running().premature()
