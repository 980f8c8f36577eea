"""One federated job as the ledger tells it: a fold over events, nothing else (contracts/SPEC.md, RoundLedger)."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from hansa.core.errors import ProtocolError
from hansa.core.types import ZERO_ADDRESS
from hansa.rounds import events as facts
from hansa.rounds.anchor import Anchor
from hansa.rounds.events import LedgerEvent, Terms

ESCROW_WINDOWS = 4
"""Windows after the deadline within which every anchor, challenge and settlement has its end."""


class Phase(StrEnum):
    ENROLLING = "enrolling"
    OPEN = "open"
    ANCHORED = "anchored"
    CHALLENGED = "challenged"
    DONE = "done"
    CLOSED = "closed"


class FinalRound(msgspec.Struct, frozen=True):
    """A finalised round: its anchor, who anchored it, when, the bitmap of seats whose verdicts finalised it, who could take part."""

    anchor: Anchor
    coordinator: str
    anchored_at: int
    finalised_at: int
    seats: int
    by_time: bool
    trainers: tuple[str, ...] = ()


class JobState(msgspec.Struct, frozen=True):
    """Everything the ledger says of a job. `final[i]` is round i + 1; `base` is the model that the current round starts from.

    The job's id is that of its first kernel job. `trainers` take part in the current attempt at the current round (while enrolling: all who
    came); `joined` have come since it was opened and take part from the next opening on; `left` gave their seats up, whenever.
    `attempts[i]` is how often round i + 1 was opened, takeovers aside. `removed` are coordinators and verifiers that lost their place;
    `coordinator` is empty when nobody is in office; `registered` are the updates that trainers put on the ledger in time in the current
    attempt.
    """

    id: int
    client: str
    terms: Terms
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
    voids_at: int = 0
    challenger: str = ""
    final: tuple[FinalRound, ...] = ()
    registered: tuple[tuple[str, bytes], ...] = ()
    released: tuple[str, ...] = ()
    settled: tuple[int, ...] = ()
    shards: tuple[tuple[int, bytes], ...] = ()
    accepted: tuple[tuple[int, bytes], ...] = ()
    closed: int = 0
    attempts: tuple[int, ...] = ()
    joined: tuple[str, ...] = ()
    joined_at: int = 0
    left: tuple[str, ...] = ()

    @property
    def rounds_per_milestone(self) -> int:
        return self.terms.rounds // self.terms.milestones

    @property
    def standbys(self) -> tuple[str, ...]:
        """Coordinators that may take over, in order of enrolment."""
        return tuple(each for each in self.coordinators if each not in self.removed and each != self.coordinator)

    @property
    def running(self) -> bool:
        """Whether seats are fixed and the job has not ended: rounds are worked on, or all of them are final and unsettled."""
        return self.phase not in (Phase.ENROLLING, Phase.CLOSED)

    @property
    def present(self) -> tuple[str, ...]:
        """Trainers that are seated now, sorted: who takes part in what is opened next."""
        if not self.joined and not self.left:
            return self.trainers
        return tuple(sorted({*self.trainers, *self.joined}.difference(self.left)))

    @property
    def deserted(self) -> bool:
        """Whether fewer of the current attempt's trainers than the quorum are still seated."""
        return len(set(self.trainers).difference(self.left)) < self.terms.quorum

    def members(self, round: int) -> tuple[str, ...]:
        """Trainers whose updates count in a round: final, or the current one; nobody in one that was never opened."""
        if round <= len(self.final):
            return self.final[round - 1].trainers
        return self.trainers if round == self.round else ()

    def has_member(self, account: str) -> bool:
        """Whether an account has, or gave up, a role in this job."""
        return any(account in each for each in (self.coordinators, self.candidates, self.trainers, self.joined, self.left))

    def enrol_until(self) -> int:
        """When trainers stop coming: what is opened later has no time for a whole patience."""
        return self.terms.enrol_by if self.phase is Phase.ENROLLING else self.terms.deadline - self.terms.patience

    def regroup_from(self) -> int | None:
        """When a round that too few of its trainers are left for may be opened anew; None while it need not or cannot be.

        What leavers delivered may still make a round that began with enough of them, so that one keeps its patience.
        """
        if self.phase is not Phase.OPEN or not self.deserted or len(self.present) < self.terms.quorum:
            return None
        patient = len(self.trainers) >= self.terms.quorum
        return max(self.since + self.terms.patience if patient else self.since, self.joined_at)

    def two_thirds(self) -> int:
        """Seats whose agreement decides."""
        return -(-2 * len(self.verifiers) // 3)

    def blocking(self) -> int:
        """Seats without which no two thirds are left."""
        return len(self.verifiers) - self.two_thirds() + 1

    def one_third(self) -> int:
        """Seats that must have fetched the blobs for a round to end by time (R5)."""
        return -(-len(self.verifiers) // 3)

    def registered_now(self) -> dict[str, bytes]:
        """Updates that trainers put on the ledger themselves, in time, in the current attempt."""
        return dict(self.registered)

    def register_from(self) -> float:
        """When a trainer without a receipt goes to the ledger: half of the patience (R5)."""
        return self.since + self.terms.patience / 2

    def register_until(self) -> float:
        """A registration from here on counts for nothing: the coordinator may already be summing."""
        return self.since + self.terms.patience * 5 / 8

    def gather_until(self) -> float:
        """When a round stops waiting for missing trainers.

        It lies after `register_until` by more than protocol time can fall back when a chain goes down between two ticks (R16).
        """
        return self.since + self.terms.patience * 3 / 4

    def premature(self) -> bool:
        """Whether the anchor lacks a trainer that could still go to the ledger: it is wrong, whatever it sums (R5)."""
        return self.anchor is not None and self.anchor.accepted < len(self.trainers) and self.anchored_at < self.register_until()

    def firm_at(self, milestone: int) -> int | None:
        """When no proof can undo a milestone any more (R7); None while its last round is not final."""
        last = (milestone + 1) * self.rounds_per_milestone
        # Rounds are anchored in order, so the window of the last one ends last.
        return self.final[last - 1].anchored_at + self.terms.window if len(self.final) >= last else None

    def lost_from(self) -> int:
        """When the job's escrow expires: what is complete but not settled by then can only be refunded."""
        return self.terms.deadline + ESCROW_WINDOWS * self.terms.window


def open_job(event: facts.JobOpened) -> JobState:
    """The state right after the client opened the job."""
    return JobState(id=event.job, client=event.client, terms=event.terms, nets=event.nets, phase=Phase.ENROLLING, base=event.terms.genesis)


def apply(state: JobState, event: LedgerEvent) -> JobState:
    """The state after one more fact; ProtocolError when the fact cannot follow (a gap in the events: reconcile from state)."""
    if event.job != state.id:
        raise ProtocolError(f"event of job {event.job} applied to job {state.id}")
    match event:
        case facts.Enrolled(role=1) if state.running:
            if state.has_member(event.account):
                raise _missed(state, event)
            return replace(state, joined=(*state.joined, event.account), joined_at=event.at)
        case facts.Enrolled() | facts.Revealed() | facts.Seated() if state.phase is not Phase.ENROLLING:
            raise _missed(state, event)
        case facts.Left():
            if not state.running or event.account not in state.present:
                raise _missed(state, event)
            return replace(state, left=(*state.left, event.account))
        case facts.Enrolled(role=1):
            return replace(state, trainers=tuple(sorted((*state.trainers, event.account))))
        case facts.Enrolled(role=2):
            return replace(state, coordinators=(*state.coordinators, event.account))
        case facts.Enrolled(role=3):
            return replace(state, candidates=(*state.candidates, event.account))
        case facts.Revealed():
            return replace(state, revealed=(*state.revealed, event.account))
        case facts.Seated():
            return replace(state, verifiers=event.verifiers, coordinators=event.coordinators)
        case facts.RoundOpened():
            return _open_round(state, event)
        case facts.UpdateRegistered():
            _expect(state, event.round, event.attempt, Phase.OPEN)
            in_time = event.at < state.register_until()
            return replace(state, registered=(*state.registered, (event.trainer, event.update))) if in_time else state
        case facts.RoundAnchored():
            _expect(state, event.round, event.anchor.attempt, Phase.OPEN)
            return replace(state, phase=Phase.ANCHORED, anchor=event.anchor, coordinator=event.coordinator, anchored_at=event.anchored_at)
        case facts.Challenged():
            _expect(state, event.round, event.attempt, Phase.ANCHORED)
            return replace(state, phase=Phase.CHALLENGED, challenger=event.challenger, voids_at=event.voids_at)
        case facts.RoundFinalised():
            _expect(state, event.round, event.attempt, Phase.ANCHORED, Phase.CHALLENGED)
            return _finalise(state, event)
        case facts.AnchorFell() | facts.CoordinatorReplaced():
            return state  # the RoundOpened that follows says what now holds
        case facts.Penalised():
            known = event.account in state.removed or not event.out
            return state if known else replace(state, removed=(*state.removed, event.account))
        case facts.MemberReleased():
            return state if event.account in state.released else replace(state, released=(*state.released, event.account))
        case facts.MilestoneSettled() if event.milestone != len(state.settled) or state.firm_at(event.milestone) is None:
            raise _missed(state, event)
        case facts.MilestoneSettled():
            return replace(state, settled=(*state.settled, event.milestone))
        case facts.ShardOpened():
            return replace(state, shards=(*state.shards, (event.milestone, event.digest)))
        case facts.ModelAccepted():
            return replace(state, accepted=(*state.accepted, (event.milestone, event.model)))
        case facts.JobClosed() if state.phase is Phase.CLOSED:
            raise _missed(state, event)
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


def _missed(state: JobState, event: LedgerEvent) -> ProtocolError:
    return ProtocolError(
        f"job {state.id} ({state.phase}, round {state.round}, {len(state.settled)} milestones settled) cannot follow with "
        f"{type(event).__name__}: events were missed or came twice, read the job from the ledger's state again"
    )


def _open_round(state: JobState, event: facts.RoundOpened) -> JobState:
    opened = state.attempts[event.round - 1] if event.round <= len(state.attempts) else 0
    goes_on = state.phase is Phase.OPEN and (state.round, state.attempt, state.base) == (event.round, event.attempt, event.base)
    # A round that was never anchored is opened anew only for want of trainers.
    unfounded = state.phase is Phase.OPEN and event.round == state.round and state.regroup_from() is None
    if state.phase is Phase.CLOSED or not state.verifiers or (not goes_on and (event.attempt != opened or unfounded)):
        raise _missed(state, event)
    final = state.final[: event.round - 1]
    base = final[-1].anchor.model if final else state.terms.genesis
    if len(final) != event.round - 1 or base != event.base:
        raise ProtocolError(f"job {state.id} opens round {event.round} on a model that its rounds do not lead to: events were missed")
    if not goes_on:
        attempts = (*state.attempts[: event.round - 1], opened + 1, *state.attempts[event.round :])
        state = replace(state, trainers=state.present, joined=(), registered=(), attempts=attempts)
    return replace(
        state, phase=Phase.OPEN, round=event.round, attempt=event.attempt, base=event.base, since=event.opened_at, anchor=None,
        coordinator="" if event.coordinator == ZERO_ADDRESS else event.coordinator, challenger="", final=final,
    )  # fmt: skip


def _finalise(state: JobState, event: facts.RoundFinalised) -> JobState:
    if state.anchor is None:
        raise ProtocolError(f"job {state.id} finalised a round that has no anchor")
    last = FinalRound(state.anchor, state.coordinator, state.anchored_at, event.at, event.seats, event.by_time, state.trainers)
    return replace(state, final=(*state.final, last), base=state.anchor.model, anchor=None, challenger="", phase=Phase.DONE, since=event.at)
