"""One federated job as the ledger tells it: a fold over events, nothing else (contracts/SPEC.md, RoundLedger)."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from hansa.core.errors import ProtocolError
from hansa.rounds import events as facts
from hansa.rounds.anchor import Anchor
from hansa.rounds.events import LedgerEvent, Terms


class Phase(StrEnum):
    ENROLLING = "enrolling"
    OPEN = "open"
    ANCHORED = "anchored"
    CHALLENGED = "challenged"
    DONE = "done"
    CLOSED = "closed"


class FinalRound(msgspec.Struct, frozen=True):
    """A finalised round: its anchor, who anchored it, when."""

    anchor: Anchor
    coordinator: str
    anchored_at: int
    finalised_at: int


class JobState(msgspec.Struct, frozen=True):
    """Everything the ledger says of a job. `final[i]` is round i + 1; `base` is the model that the current round starts from."""

    id: int
    client: str
    terms: Terms
    first_kernel_job: int
    nets: tuple[int, ...]
    phase: Phase
    base: bytes
    trainers: tuple[str, ...] = ()
    coordinators: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    revealed: tuple[str, ...] = ()
    verifiers: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    coordinator: str = ""
    since: int = 0
    round: int = 0
    attempt: int = 0
    anchor: Anchor | None = None
    anchored_at: int = 0
    challenged_at: int = 0
    challenger: str = ""
    final: tuple[FinalRound, ...] = ()
    registered: tuple[tuple[int, str, bytes], ...] = ()
    settled: tuple[int, ...] = ()
    shards: tuple[tuple[int, bytes], ...] = ()
    accepted: tuple[tuple[int, bytes], ...] = ()
    closed: str = ""

    @property
    def rounds_per_milestone(self) -> int:
        return self.terms.rounds // self.terms.milestones

    @property
    def standbys(self) -> tuple[str, ...]:
        """Coordinators that may take over, in order of enrolment."""
        return tuple(each for each in self.coordinators if each not in self.removed and each != self.coordinator)

    def two_thirds(self) -> int:
        """Seats whose agreement decides."""
        return -(-2 * len(self.verifiers) // 3)

    def one_third(self) -> int:
        """Seats that must have fetched the blobs for a round to end by time (R5)."""
        return -(-len(self.verifiers) // 3)

    def registered_now(self) -> dict[str, bytes]:
        """Updates that trainers put on the ledger themselves in the current round."""
        return {trainer: update for number, trainer, update in self.registered if number == self.round}


def open_job(event: facts.JobOpened) -> JobState:
    """The state right after the client opened the job."""
    return JobState(
        id=event.job, client=event.client, terms=event.terms, first_kernel_job=event.first_kernel_job, nets=event.nets,
        phase=Phase.ENROLLING, base=event.terms.genesis,
    )  # fmt: skip


def apply(state: JobState, event: LedgerEvent) -> JobState:
    """The state after one more fact; ProtocolError when the fact cannot follow (a gap in the events: reconcile from state)."""
    if event.job != state.id:
        raise ProtocolError(f"event of job {event.job} applied to job {state.id}")
    match event:
        case facts.Enrolled(role=1):
            return replace(state, trainers=tuple(sorted((*state.trainers, event.account))))
        case facts.Enrolled(role=2):
            return replace(state, coordinators=(*state.coordinators, event.account))
        case facts.Enrolled(role=3):
            return replace(state, candidates=(*state.candidates, event.account))
        case facts.Revealed():
            return replace(state, revealed=(*state.revealed, event.account))
        case facts.JobStarted():
            return replace(
                state, phase=Phase.OPEN, verifiers=event.verifiers, coordinator=event.coordinator, round=1, attempt=0, since=event.at
            )
        case facts.UpdateRegistered():
            return replace(state, registered=(*state.registered, (event.round, event.trainer, event.update)))
        case facts.RoundAnchored():
            _expect(state, event.round, event.attempt, Phase.OPEN)
            return replace(state, phase=Phase.ANCHORED, anchor=event.anchor, coordinator=event.coordinator, anchored_at=event.at)
        case facts.Challenged():
            _expect(state, event.round, event.attempt, Phase.ANCHORED)
            return replace(state, phase=Phase.CHALLENGED, challenger=event.challenger, challenged_at=event.at)
        case facts.RoundFinalised():
            _expect(state, event.round, event.attempt, Phase.ANCHORED, Phase.CHALLENGED)
            return _finalise(state, event.at)
        case facts.RoundReopened():
            return _reopen(state, event)
        case facts.CoordinatorReplaced():
            # The replaced one stays eligible only if its anchor was never even tried; the ledger says so by removing it.
            removed = (*state.removed, event.before) if event.before else state.removed
            return replace(state, removed=tuple(dict.fromkeys(removed)), coordinator=event.after, since=event.at)
        case facts.MilestoneSettled():
            return replace(state, settled=(*state.settled, event.milestone))
        case facts.ShardOpened():
            return replace(state, shards=(*state.shards, (event.milestone, event.digest)))
        case facts.Accepted():
            return replace(state, accepted=(*state.accepted, (event.milestone, event.model)))
        case facts.JobClosed():
            return replace(state, phase=Phase.CLOSED, closed=event.reason, anchor=None)
        case _:
            raise ProtocolError(f"a job cannot apply {type(event).__name__}")


def _expect(state: JobState, round: int, attempt: int, *phases: Phase) -> None:
    if state.phase not in phases or (state.round, state.attempt) != (round, attempt):
        raise ProtocolError(
            f"job {state.id} is at round {state.round} attempt {state.attempt} ({state.phase}), but the event is of "
            f"round {round} attempt {attempt}: events were missed, read the job from the ledger's state again"
        )


def _finalise(state: JobState, at: int) -> JobState:
    if state.anchor is None:
        raise ProtocolError(f"job {state.id} finalised a round that has no anchor")
    final = (*state.final, FinalRound(state.anchor, state.coordinator, state.anchored_at, at))
    done = state.round == state.terms.rounds
    return replace(
        state, final=final, base=state.anchor.model, anchor=None, challenger="", attempt=0, since=at,
        phase=Phase.DONE if done else Phase.OPEN, round=state.round if done else state.round + 1,
    )  # fmt: skip


def _reopen(state: JobState, event: facts.RoundReopened) -> JobState:
    """Back to round `event.round`: the anchor of that attempt and everything built on it is void, its coordinator is out."""
    fallen = state.final[event.round - 1].coordinator if event.round <= len(state.final) else state.coordinator
    final = state.final[: event.round - 1]
    return replace(
        state, phase=Phase.OPEN, round=event.round, attempt=event.attempt + 1, anchor=None, challenger="", final=final, coordinator="",
        base=final[-1].anchor.model if final else state.terms.genesis, since=event.at,
        removed=tuple(dict.fromkeys((*state.removed, fallen))),
    )  # fmt: skip
