from __future__ import annotations

from hansa.rounds import duties
from hansa.rounds import events as facts
from hansa.rounds.client import client_duties
from hansa.rounds.job import JobState
from tests.rounds.states import CLIENT, JOB, OUTSIDER, TERMS, after, enrolled, finalised, names, running


def due(state: JobState, now: float, shards: int = 2) -> list[str]:
    return names(client_duties(state, CLIENT, shards, now))


def test_it_closes_enrolment_early_when_every_place_is_taken() -> None:
    assert due(enrolled(), 50) == ["Start"]


def test_it_waits_for_a_free_place_a_standby_or_the_draw() -> None:
    for state in (enrolled(trainers=3), enrolled(coordinators=1), enrolled(verifiers=4), enrolled(verifiers=2)):
        assert due(state, 50) == []


def test_r11_a_shard_is_opened_once_when_nothing_can_undo_its_milestone() -> None:
    state = finalised(2)
    firm = state.final[1].anchored_at + TERMS.window
    assert due(state, firm - 1) == [] and client_duties(state, CLIENT, 2, firm) == [duties.OpenShard(JOB, 0)]
    assert due(after(state, facts.ShardOpened(job=JOB, milestone=0, digest=b"q")), firm) == []
    assert due(state, firm, shards=0) == [] == due(finalised(1), 1_000)


def test_it_does_the_upkeep_when_all_others_are_silent() -> None:
    assert due(running(), TERMS.deadline + 99) == ["Expire"]


def test_another_account_owes_nothing() -> None:
    assert client_duties(finalised(2), OUTSIDER, 2, 9_999) == []
