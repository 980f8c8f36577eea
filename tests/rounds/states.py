"""States of a small job, built from facts as the ledger would give them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from hansa.core.types import Judgement
from hansa.rounds import events as facts
from hansa.rounds.anchor import Anchor
from hansa.rounds.duties import Ballot
from hansa.rounds.events import LedgerEvent, Terms
from hansa.rounds.job import JobState, apply, open_job

JOB = 7
CLIENT = "0x" + "cc" * 20
T = ["0x" + f"1{number}" * 20 for number in range(4)]
C = ["0x" + f"2{number}" * 20 for number in range(3)]
V = ["0x" + f"3{number}" * 20 for number in range(7)]
OUTSIDER = "0x" + "99" * 20
GENESIS = b"g" * 32

TERMS = Terms(
    spec=b"s" * 32, genesis=GENESIS, acceptance=bytes(32), rounds=4, milestones=2, quorum=3, verifiers=3, coordinator_bps=500,
    verifier_bps=1_000, enrol_by=100, patience=80, window=40, deadline=2_000, trainer_stake=10, coordinator_stake=100, verifier_stake=50,
    challenge_bond=5, max_trainers=4,
)  # fmt: skip


def opened(**terms: Any) -> JobState:
    return open_job(facts.JobOpened(job=JOB, at=1, client=CLIENT, terms=replace(TERMS, **terms), nets=(1000, 1000)))


def after(state: JobState, *events: LedgerEvent) -> JobState:
    for event in events:
        state = apply(state, event)
    return state


def enrolled(trainers: int = 4, coordinators: int = 3, verifiers: int = 3, seats: int = 3, **terms: Any) -> JobState:
    lists = ((1, T[:trainers]), (2, C[:coordinators]), (3, V[:verifiers]))
    events = [facts.Enrolled(job=JOB, at=2, account=each, role=role) for role, accounts in lists for each in accounts]
    return after(opened(verifiers=seats, **terms), *events)


def round_opened(state: JobState, number: int, attempt: int, at: int, coordinator: str = C[0]) -> facts.RoundOpened:
    base = state.final[number - 2].anchor.model if number > 1 else state.terms.genesis
    return facts.RoundOpened(job=JOB, at=at, round=number, attempt=attempt, base=base, coordinator=coordinator, opened_at=at)


def running(verifiers: int = 3, **terms: Any) -> JobState:
    """Round 1 open since 100, C[0] in office."""
    state = enrolled(verifiers=verifiers, seats=verifiers, **terms)
    seated = facts.Seated(job=JOB, at=100, verifiers=tuple(V[:verifiers]), coordinators=state.coordinators)
    return after(state, seated, round_opened(state, 1, 0, 100))


def anchor(state: JobState, *, model: bytes = b"", accepted: int = 4) -> Anchor:
    """An anchor of the state's round; its model is named by the round unless given."""
    return Anchor(
        job=JOB, round=state.round, attempt=state.attempt, base=state.base, updates=b"u" * 32, manifest=b"m" * 32, manifest_size=9,
        aggregate=b"a" * 32, model=model or bytes([state.round]) * 32, model_size=5, credits=b"c" * 32, accepted=accepted,
    )  # fmt: skip


def anchored(state: JobState | None = None, at: int = 120) -> JobState:
    state = state or running()
    fact = facts.RoundAnchored(job=JOB, at=at, round=state.round, coordinator=state.coordinator, anchor=anchor(state), anchored_at=at)
    return after(state, fact)


def challenged(at: int = 130) -> JobState:
    return after(anchored(), facts.Challenged(job=JOB, at=at, round=1, attempt=0, challenger=V[0], voids_at=at + TERMS.window))


def finalised(rounds: int = 1, state: JobState | None = None, attempts: tuple[int, ...] = ()) -> JobState:
    """`rounds` rounds final, anchored twenty seconds after they opened and final ten later; the next one is open.

    `attempts` are the numbers under which the rounds that follow are opened, 0 when not given.
    """
    state = state or running()
    for place in range(rounds):
        at = state.since + 20
        state = anchored(state, at)
        final = facts.RoundFinalised(job=JOB, at=at + 10, round=state.round, attempt=state.attempt, by_time=False, seats=3)
        state = after(state, final)
        if state.round < state.terms.rounds:
            attempt = attempts[place] if attempts else 0
            state = after(state, round_opened(state, state.round + 1, attempt, at + 10))
    return state


def box(*votes: str, wrong: bytes = b"w" * 32) -> dict[int, Ballot]:
    """One letter a seat: v valid, f fetched, w wrong, x another wrong digest, - silent."""
    kinds = {
        "v": (Judgement.VALID, b"a" * 32),
        "f": (Judgement.FETCHED, bytes(32)),
        "w": (Judgement.WRONG, wrong),
        "x": (Judgement.WRONG, b"x" * 32),
    }
    return {seat: Ballot(seat, *kinds[vote], b"signature") for seat, vote in enumerate("".join(votes)) if vote != "-"}


def names(duties: list[Any]) -> list[str]:
    return [type(duty).__name__ for duty in duties]
