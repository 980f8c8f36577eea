from __future__ import annotations

import pytest
from msgspec.structs import replace

from hansa.core.types import Address
from hansa.identity.statements import UpdateStatement
from hansa.rounds import duties
from hansa.rounds import events as facts
from hansa.rounds.coordinator import CoordinatorFacts, coordinator_duties
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted
from hansa.rounds.upkeep import GRACE
from tests.rounds.states import JOB, OUTSIDER, TERMS, C, T, V, after, anchor, anchored, box, names, round_opened, running

NOTHING = CoordinatorFacts({}, {}, {})


def took(state: JobState, number: int) -> CoordinatorFacts:
    accepted = {
        each: Accepted(UpdateStatement(JOB, state.round, Address(each), state.base, b"d" * 32, 4, 1, bytes(32)), b"") for each in T[:number]
    }
    return CoordinatorFacts({(state.round, state.base): accepted}, {}, {})


def due(state: JobState, own: CoordinatorFacts = NOTHING, now: float = 101, me: str = C[0]) -> list[str]:
    return names(coordinator_duties(state, me, own, now))


def registered(state: JobState, trainer: str) -> JobState:
    return after(state, facts.UpdateRegistered(job=JOB, at=145, round=1, attempt=0, trainer=trainer, update=b"r" * 32))


def test_a_whole_cohort_is_summed_at_once() -> None:
    assert coordinator_duties(running(), C[0], took(running(), 4), 101) == [duties.Assemble(JOB, 1, 0, tuple(T))]


def test_silence_of_a_trainer_ends_at_three_quarters_of_the_patience() -> None:
    assert due(running(), took(running(), 3), 159) == [] and due(running(), took(running(), 3), 160) == ["Assemble"]


def test_below_the_quorum_it_waits() -> None:
    assert due(running(), took(running(), 2), 175) == []


def test_updates_of_another_base_are_not_summed() -> None:
    state = running()
    other = CoordinatorFacts({(1, b"?" * 32): took(state, 4).updates[(1, state.base)]}, {}, {})
    assert due(state, other, 175) == []


def test_a_journalled_draft_is_sent_whatever_came_later() -> None:
    draft = anchor(running(), accepted=3)
    own = replace(took(running(), 4), drafts={(1, 0): draft})
    assert coordinator_duties(running(), C[0], own, 170) == [duties.SendAnchor(JOB, 1, 0, draft)]


def test_r16_a_draft_that_lacks_a_trainer_waits_when_time_fell_back() -> None:
    own = replace(took(running(), 3), drafts={(1, 0): anchor(running(), accepted=3)})
    assert due(running(), own, 159) == [] and due(running(), own, 160) == ["SendAnchor"]


def test_a_draft_on_a_model_that_was_undone_is_not_sent() -> None:
    own = replace(took(running(), 4), drafts={(1, 0): replace(anchor(running()), base=b"?" * 32)})
    assert due(running(), own) == ["Assemble"]


def test_r5_a_registered_update_is_asked_for_and_waited_for() -> None:
    state = registered(running(), T[3])
    assert due(state, took(state, 3), 149) == []
    assert coordinator_duties(state, C[0], took(state, 3), 170) == [duties.Collect(JOB, 1, 0, (T[3],))]
    assert due(state, took(state, 4), 170) == ["Assemble"]


def test_r5_a_registered_update_that_nobody_holds_delays_nobody() -> None:
    state = registered(running(), T[3])
    one = replace(took(state, 3), absent={(1, 0): {T[3]: frozenset(V[:1])}})
    two = replace(took(state, 3), absent={(1, 0): {T[3]: frozenset(V[:2])}})
    assert due(state, one, 170) == ["Collect"] and due(state, two, 170) == ["Collect", "Assemble"]
    assert due(state, two, 159) == ["Collect"]


def test_silence_of_the_coordinator_and_the_standbys_in_their_order() -> None:
    over = 100 + TERMS.patience
    assert due(running(), now=over - 1, me=C[1]) == []
    assert coordinator_duties(running(), C[1], NOTHING, over) == [duties.Takeover(JOB, 1, 0, 100)]
    assert due(running(), now=over, me=C[2]) == [] and due(running(), now=over + GRACE, me=C[2]) == ["Takeover"]
    assert due(running(), now=over + 99) == []


def test_a_new_patience_runs_from_the_takeover() -> None:
    state = after(running(), round_opened(running(), 1, 0, 190, C[1]))
    assert due(state, now=269, me=C[0]) == [] and due(state, now=270, me=C[0]) == ["Takeover"]


def test_who_is_out_takes_nothing_over() -> None:
    state = after(running(), facts.Penalised(job=JOB, account=C[1], role=2, amount=100, out=True))
    assert due(state, now=500, me=C[1]) == [] and due(state, now=180, me=C[2]) == ["Takeover"]


@pytest.mark.parametrize("me", C[:2])
def test_after_the_deadline_nothing_is_anchored_or_taken_over(me: str) -> None:
    assert set(due(running(), took(running(), 4), TERMS.deadline + 9, me)) == {"Expire"}


def test_a_standby_does_not_do_the_office() -> None:
    assert due(running(), took(running(), 4), me=C[1]) == []


def test_it_gathers_the_verdicts_and_ends_the_round() -> None:
    own = CoordinatorFacts({}, {}, {(1, 0): box("vv-")})
    assert due(anchored(), own, 121) == ["Finalise"] and due(anchored(), own, 121, C[1]) == []
    assert due(anchored(), own, 120 + 2 * GRACE + GRACE, C[1]) == ["Finalise"]


def test_who_is_no_coordinator_owes_nothing() -> None:
    assert coordinator_duties(running(), OUTSIDER, NOTHING, 999) == []
