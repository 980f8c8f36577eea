"""Which updates a round takes, and when a trainer of an asynchronous job trains, brings, and lets be."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hansa.core.errors import ProtocolError
from hansa.core.types import Address
from hansa.identity.statements import UpdateStatement
from hansa.rounds import duties
from hansa.rounds.anchor import Anchor
from hansa.rounds.coordinator import CoordinatorFacts, coordinator_duties
from hansa.rounds.job import FinalRound, JobState
from hansa.rounds.manifest import Accepted
from hansa.rounds.staleness import base_of, check, takeable, window
from hansa.rounds.trainer import TrainerFacts, trainer_duties
from tests.rounds.states import JOB, C, T, running


def model(number: int) -> bytes:
    return bytes([number]) * 32


def later(rounds: int) -> JobState:
    """The running job with that many rounds final, each leading to a model of its own."""
    state = running()
    anchor = replace(_anchor(state), attempt=0)
    final = tuple(
        FinalRound(replace(anchor, round=number, model=model(number)), C[0], 100, 101, 7, False, state.trainers)
        for number in range(1, rounds + 1)
    )
    return replace(state, round=rounds + 1, base=model(rounds) if rounds else state.base, final=final, since=200)


def _anchor(state: JobState) -> Anchor:
    zero = bytes(32)
    return Anchor(state.id, 1, 0, state.base, zero, zero, 1, zero, zero, 1, zero, 3)


def said(trainer: str, round: int, base: bytes, job: int = JOB) -> UpdateStatement:
    return UpdateStatement(job, round, Address(trainer), base, b"u" * 32, 9, 1, b"d" * 32)


def test_a_job_that_waits_takes_its_own_round_alone() -> None:
    state = later(3)
    assert window(state, 0) == {4: model(3)}
    check(state, said(T[0], 4, model(3)), 0, frozenset())
    for wrong in (said(T[0], 3, model(2)), said(T[0], 4, model(2)), said(T[0], 5, model(3)), said(T[0], 4, model(3), job=JOB + 1)):
        with pytest.raises(ProtocolError, match="does not take"):
            check(state, wrong, 0, frozenset())


def test_an_asynchronous_round_takes_the_window_each_update_once() -> None:
    state = later(3)
    assert window(state, 2) == {2: model(1), 3: model(2), 4: model(3)} and base_of(state, 1) == state.terms.genesis
    assert set(window(state, 64)) == {1, 2, 3, 4}
    check(state, said(T[0], 2, model(1)), 2, frozenset({(T[0], 3), (T[1], 2)}))
    with pytest.raises(ProtocolError, match="counts once"):
        check(state, said(T[0], 2, model(1)), 2, frozenset({(T[0], 2)}))
    with pytest.raises(ProtocolError, match="does not take"):
        check(state, said(T[0], 1, state.terms.genesis), 2, frozenset())


def updates(state: JobState, *made: tuple[str, int]) -> dict[tuple[int, bytes], dict[str, Accepted]]:
    found: dict[tuple[int, bytes], dict[str, Accepted]] = {}
    for trainer, round in made:
        base = base_of(state, round)
        found.setdefault((round, base), {})[trainer] = Accepted(said(trainer, round, base), b"s" * 65)
    return found


def test_of_each_trainer_the_newest_unused_update_is_taken() -> None:
    state = later(3)
    given = updates(state, (T[0], 2), (T[0], 4), (T[1], 3), (T[2], 2), ("0xstranger", 4))
    found = takeable(state, given, 2, frozenset({(T[2], 2)}))
    assert {trainer: accepted.statement.round for trainer, accepted in found.items()} == {T[0]: 4, T[1]: 3}
    assert takeable(state, given, 0, frozenset()).keys() == {T[0]}


def names(due: list[duties.Duty]) -> list[str]:
    return [type(duty).__name__ for duty in due]


def test_a_coordinator_of_an_asynchronous_job_sums_as_soon_as_enough_have_come() -> None:
    state = later(3)
    enough = updates(state, *((each, 3) for each in T[: state.terms.quorum]))
    waiting = coordinator_duties(state, C[0], CoordinatorFacts(enough, {}, {}), 201)
    assert "Assemble" not in names(waiting), "a job that waits takes no stale ones"
    due = coordinator_duties(state, C[0], CoordinatorFacts(enough, {}, {}, staleness=1), 201)
    assert "Assemble" in names(due)
    few = updates(state, *((each, 3) for each in T[: state.terms.quorum - 1]))
    assert "Assemble" not in names(coordinator_duties(state, C[0], CoordinatorFacts(few, {}, {}, staleness=1), 201))
    used = frozenset((each, 3) for each in T)
    assert "Assemble" not in names(coordinator_duties(state, C[0], CoordinatorFacts(enough, {}, {}, staleness=1, used=used), 201))


def made(state: JobState, *rounds: int) -> frozenset[tuple[int, bytes]]:
    return frozenset((round, base_of(state, round)) for round in rounds)


def owed(state: JobState, own: TrainerFacts, now: float, staleness: int | None) -> list[duties.Duty]:
    """What a trainer owes, upkeep aside."""
    return [duty for duty in trainer_duties(state, T[0], own, now, staleness) if not isinstance(duty, duties.Settle)]


def test_a_late_trainer_brings_what_it_has_and_trains_anew_once_that_is_spent() -> None:
    state = later(3)
    late = TrainerFacts(made(state, 2))
    assert owed(state, late, 201, 2) == [duties.Submit(JOB, 4, 0, C[0], 2)]
    assert names(owed(state, late, 201, None)) == ["Train"], "a job that waits has no use for it"
    assert names(owed(state, late, 201, 1)) == ["Train"], "too stale"
    promised = TrainerFacts(made(state, 2), frozenset({(4, 0, C[0])}), promised=frozenset({(4, 0, 2)}))
    assert owed(state, promised, 201, 2) == [], "the present round has promised it"
    spent = TrainerFacts(made(state, 2), frozenset({(3, 0, C[0])}), promised=frozenset({(3, 0, 2)}))
    assert names(owed(state, spent, 201, 2)) == ["Train"], "a final round has taken it"
    undone = TrainerFacts(made(state, 2), frozenset({(3, 1, C[0])}), promised=frozenset({(3, 1, 2)}))
    assert owed(state, undone, 201, 2) == [duties.Submit(JOB, 4, 0, C[0], 2)], "that attempt did not become final"


def test_a_stale_update_is_never_registered_on_the_ledger() -> None:
    state = later(3)
    now = state.register_from() + 1
    assert names(owed(state, TrainerFacts(made(state, 4)), now, 2)) == ["Submit", "RegisterUpdate"]
    assert names(owed(state, TrainerFacts(made(state, 2)), now, 2)) == ["Submit"]
