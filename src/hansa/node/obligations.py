"""What every member of a job owes besides its role's duties: to enrol, to keep the protocol's clock going, to show equivocation."""

from __future__ import annotations

from hansa.chain.bindings import structs
from hansa.chain.deployment import Contracts
from hansa.core.ports import Call
from hansa.core.types import Judgement
from hansa.node.book import Book
from hansa.rounds.duties import Ballot, Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.upkeep import GRACE, rank_of


class Enrol(Duty, frozen=True):
    """Take this node's role in a job."""


class Tick(Duty, frozen=True):
    """Nothing ticked the protocol's clock since then, in block time: a pause above its bound would count against no deadline (R16)."""

    since: int

    def _key(self) -> tuple[str, ...]:
        return ("since",)


class Expose(Duty, frozen=True):
    """Show the contract two verdicts of one seat that contradict each other."""

    round: int
    attempt: int
    seat: int

    def _key(self) -> tuple[str, ...]:
        return ("job", "round", "attempt", "seat")


def ticks(job: JobState, me: str, last: int, max_gap: int, now: float) -> list[Duty]:
    """A tick once half of the longest pause has passed; members take turns, so that one is enough. `now` is wall-clock time."""
    if job.phase is Phase.CLOSED or me in job.left or not (me == job.client or job.has_member(me)):
        return []
    turn = min(rank_of(job, me) * GRACE, max_gap / 4)
    return [Tick(job.id, last)] if last and now >= last + max_gap / 2 + turn else []


def contradicts(first: Ballot, second: Ballot, anchor: bytes) -> bool:
    """Whether two verdicts of one seat on one anchor are equivocation, as the contract judges it (contracts/SPEC.md, Verdicts)."""
    wrong = [each for each in (first, second) if each.judgement is Judgement.WRONG]
    if not wrong or any(each.digest == anchor for each in wrong):
        return False
    return first.digest != second.digest if len(wrong) == 2 else Judgement.VALID in (first.judgement, second.judgement)


def exposures(job: JobState, me: str, book: Book, now: float) -> list[Duty]:
    """Evidence that this node holds against seats that still stand, members one after another."""
    if job.phase in (Phase.ENROLLING, Phase.CLOSED):
        return []
    turn = rank_of(job, me) * GRACE
    return [
        Expose(job.id, *at)
        for at, evidence in book.contradicted.get(job.id, {}).items()
        if job.verifiers[at[2]] not in job.removed and now >= evidence.at + turn
    ]


def exposure(contracts: Contracts, book: Book, duty: Expose) -> Call:
    """The call that shows both verdicts, the wrong one last."""
    second = book.contradicted[duty.job][(duty.round, duty.attempt, duty.seat)]
    ballots = [book.boxes[duty.job][(duty.round, duty.attempt)][duty.seat], second.ballot]
    a, b = (
        structs.Statement(int(each.judgement), each.digest, each.signature)
        for each in sorted(ballots, key=lambda each: each.judgement is Judgement.WRONG)
    )
    return contracts.cohort.equivocation(structs.Subject(duty.job, duty.round, duty.attempt, second.anchor), duty.seat, a, b)
