"""The contract's state machine of one federated job in plain Python: calls in, facts out, refusals where contracts/SPEC.md reverts.

The public in-memory twin of `RoundLedger` and `Cohort`: protocols are tried against it without a chain, hundreds of jobs a second.
Every call names the account it comes from first; signatures are seals (`hansa.simulation.seal`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hansa.core.clock import Clock
from hansa.core.errors import ProtocolError
from hansa.core.types import ZERO_ADDRESS, Judgement, Role
from hansa.rounds import events as facts
from hansa.rounds.anchor import Anchor
from hansa.rounds.duties import Ballot
from hansa.rounds.events import LedgerEvent, Terms
from hansa.rounds.job import ESCROW_WINDOWS, Phase
from hansa.simulation.cohort import LATE_BPS, Cohort
from hansa.simulation.protocol_clock import ProtocolClock
from hansa.simulation.purse import BPS, Purse, net_of
from hansa.simulation.seal import digest_of, verdict_seal

LAPSE_BPS = 5_000
COMPLETED, EXPIRED, CANCELLED = 1, 2, 3


@dataclass
class Standing:
    """What the ledger keeps of a round's last anchor."""

    anchor: Anchor
    coordinator: str
    anchored_at: int
    challenger: str = ""
    challenged_at: int = 0
    seats: int = 0


class Referee:
    """One job. `log` holds its facts in order; `phase` is the job's, `DONE` when every round is final."""

    def __init__(self, wall: Clock, purse: Purse, job: int = 1, max_gap: int = 600) -> None:
        self.clock = ProtocolClock(wall, max_gap)
        self.purse = purse
        self.job = job
        self.log: list[LedgerEvent] = []
        self.phase: Phase | None = None
        self.coordinator = ""
        self.round = self.attempt = self.settled = 0
        self.standing: dict[int, Standing] = {}
        self._openings: Counter[int] = Counter()
        self._registered: set[tuple[str, int, int]] = set()

    def tick(self) -> int:
        """Protocol time, recorded; every call ticks first."""
        return self.clock.tick()

    def open(self, client: str, terms: Terms, budgets: Sequence[int]) -> None:
        at = self.tick()
        _refuse(self.phase is not None, "the job is open already")
        _refuse(len(budgets) != terms.milestones or terms.rounds % terms.milestones != 0, "one budget for each milestone of equal length")
        _refuse(
            not at < terms.enrol_by <= terms.deadline - terms.window - terms.patience,
            "enrolment and one round must fit before the deadline",
        )
        _refuse(not 1 <= terms.quorum <= terms.max_trainers or not 1 <= terms.verifiers <= 32, "quorum or seats are out of bounds")
        for milestone, budget in enumerate(budgets):
            self.purse.fund(client, milestone, budget)
        self.terms, self.client, self._model = terms, client, terms.genesis
        self.nets = tuple(net_of(budget) for budget in budgets)
        self.cohort = Cohort(self.job, terms, client, self.purse, self.log)
        self.phase = Phase.ENROLLING
        self.log.append(facts.JobOpened(job=self.job, at=at, client=client, terms=terms, nets=self.nets))

    def enrol(self, account: str, role: Role, committed: bytes = b"") -> None:
        at = self.tick()
        _refuse(self.phase in (None, Phase.CLOSED), f"the job is {self.phase}")
        self.cohort.enrol(account, role, committed, at)

    def leave(self, account: str) -> None:
        at = self.tick()
        self._running()
        self.cohort.leave(account, at)

    def reveal(self, account: str, value: bytes, salt: bytes) -> None:
        at = self.tick()
        self._in(Phase.ENROLLING)
        self.cohort.reveal(account, value, salt, at)

    def start(self, account: str) -> None:
        at = self.tick()
        self._in(Phase.ENROLLING)
        _refuse(at >= self.terms.deadline, "the deadline has passed")
        self.cohort.seat(at, account == self.client)
        self.coordinator = self.cohort.next_coordinator("")
        self._open_round(1, at)

    def cancel(self, account: str) -> None:
        at = self.tick()
        self._in(Phase.ENROLLING)
        self.cohort.cancel(at)
        self._end(CANCELLED, at)

    def register_update(self, account: str, round: int, update: bytes) -> None:
        at = self.tick()
        self._in(Phase.OPEN)
        _refuse(round != self.round, f"round {self.round} is open, not {round}")
        _refuse(account not in self.cohort.taking_part(), f"{account} is no trainer of this round")
        entry = (account, round, self.attempt)
        _refuse(entry in self._registered, f"{account} registered an update in this attempt already")
        self._registered.add(entry)
        self.log.append(facts.UpdateRegistered(job=self.job, at=at, round=round, attempt=self.attempt, trainer=account, update=update))

    def anchor(self, account: str, anchor: Anchor) -> None:
        at = self.tick()
        self._in(Phase.OPEN)
        _refuse(at >= self.terms.deadline, "nothing is anchored after the deadline")
        _refuse(account != self.coordinator, f"{account} is not the coordinator in office")
        _refuse(
            (anchor.job, anchor.round, anchor.attempt) != (self.job, self.round, self.attempt), "the anchor is of another round or attempt"
        )
        _refuse(anchor.base != self._model, "the anchor starts from another model")
        trainers = len(self.cohort.taking_part())
        _refuse(
            not self.terms.quorum <= anchor.accepted <= trainers, f"{anchor.accepted} updates; quorum {self.terms.quorum} of {trainers}"
        )
        self.standing[self.round] = Standing(anchor, account, at)
        self.phase = Phase.ANCHORED
        self.log.append(facts.RoundAnchored(job=self.job, at=at, round=self.round, coordinator=account, anchor=anchor, anchored_at=at))

    def finalise(self, account: str, anchor: Anchor, ballots: Sequence[Ballot]) -> None:
        at = self.tick()
        standing = self._judged(anchor, Phase.ANCHORED, Phase.CHALLENGED)
        self._check(anchor, ballots, Judgement.VALID, Judgement.FETCHED)
        valid = sum(ballot.judgement is Judgement.VALID for ballot in ballots)
        _refuse(valid * 3 < self.terms.verifiers * 2, f"{valid} valid verdicts of {self.terms.verifiers} seats are not two thirds")
        if self.phase is Phase.CHALLENGED:
            self.purse.take_bond(standing.challenger, standing.coordinator)
        self._finalise(standing, ballots, at, by_time=False)

    def finalise_by_time(self, account: str, anchor: Anchor, ballots: Sequence[Ballot]) -> None:
        at = self.tick()
        standing = self._judged(anchor, Phase.ANCHORED)
        _refuse(at < standing.anchored_at + self.terms.window, "the window still runs")
        self._check(anchor, ballots, Judgement.VALID, Judgement.FETCHED)
        _refuse(
            len(ballots) * 3 < self.terms.verifiers, f"{len(ballots)} of {self.terms.verifiers} seats fetched the blobs: less than a third"
        )
        self._finalise(standing, ballots, at, by_time=True)

    def lapse(self, account: str, anchor: Anchor) -> None:
        at = self.tick()
        standing = self._judged(anchor, Phase.ANCHORED)
        _refuse(at < standing.anchored_at + 2 * self.terms.window, "an anchor lapses after two windows")
        self.log.append(facts.Lapsed(job=self.job, at=at, round=anchor.round, attempt=anchor.attempt, coordinator=standing.coordinator))
        self.cohort.penalise(standing.coordinator, LAPSE_BPS, "", at)
        self._replace(at)
        self._open_round(self.round, at)

    def challenge(self, account: str, anchor: Anchor) -> None:
        at = self.tick()
        standing = self._judged(anchor, Phase.ANCHORED)
        _refuse(at >= standing.anchored_at + self.terms.window, "the window has ended")
        self.purse.bond(account, self.terms.challenge_bond)
        standing.challenger, standing.challenged_at = account, at
        self.phase = Phase.CHALLENGED
        voids_at = at + self.terms.window
        self.log.append(
            facts.Challenged(job=self.job, at=at, round=anchor.round, attempt=anchor.attempt, challenger=account, voids_at=voids_at)
        )

    def condemn(self, account: str, anchor: Anchor, digest: bytes, ballots: Sequence[Ballot]) -> None:
        at = self.tick()
        self._running()
        standing = self.standing.get(anchor.round)
        final = anchor.round < self.round
        stands = final or (anchor.round == self.round and self.phase in (Phase.ANCHORED, Phase.CHALLENGED))
        if standing is None or not stands or standing.anchor != anchor:
            raise ProtocolError("this anchor does not stand")
        _refuse(final and at >= standing.anchored_at + self.terms.window, "the window of this final round has ended")
        _refuse(
            digest == digest_of(anchor) or any(ballot.digest != digest for ballot in ballots), "the verdicts do not name one other digest"
        )
        self._check(anchor, ballots, Judgement.WRONG)
        _refuse(len(ballots) * 3 < self.terms.verifiers * 2, f"{len(ballots)} wrong verdicts of {self.terms.verifiers} are not two thirds")
        self.log.append(facts.Condemned(job=self.job, at=at, round=anchor.round, attempt=anchor.attempt, coordinator=standing.coordinator))
        if self.phase is Phase.CHALLENGED:
            self.purse.return_bond(self.standing[self.round].challenger)
        # Without a challenger nobody is the finder: whoever sends the call may be the liar.
        self.cohort.penalise(standing.coordinator, BPS, standing.challenger, at)
        self._model = anchor.base
        if self.coordinator == standing.coordinator:
            self._replace(at)
        self._open_round(anchor.round, at)

    def void_round(self, account: str, anchor: Anchor) -> None:
        at = self.tick()
        standing = self._judged(anchor, Phase.CHALLENGED)
        _refuse(at < standing.challenged_at + self.terms.window, "both sides still have time")
        self.purse.return_bond(standing.challenger)
        self.log.append(facts.Voided(job=self.job, at=at, round=anchor.round, attempt=anchor.attempt, coordinator=standing.coordinator))
        self._replace(at)
        self._open_round(self.round, at)

    def takeover(self, account: str) -> None:
        at = self.tick()
        self._in(Phase.OPEN)
        _refuse(at >= self.terms.deadline, "the deadline has passed")
        able = account in self.cohort.accounts(Role.COORDINATOR) and not self.cohort.members[account].out and account != self.coordinator
        _refuse(not able, f"{account} cannot take over")
        _refuse(at < self._opened_at + self.terms.patience, "the coordinator in office still has time")
        deserted = self.cohort.deserted()
        _refuse(deserted and len(self.cohort.seated()) >= self.terms.quorum, "the round is opened anew with the trainers that are seated")
        late, self.coordinator = self.coordinator, account
        self.log.append(facts.CoordinatorReplaced(job=self.job, at=at, round=self.round, previous=late, next=account))
        self._announce(at)
        if not deserted:
            self.cohort.penalise(late, LATE_BPS, "", at)

    def regroup(self, account: str) -> None:
        at = self.tick()
        self._in(Phase.OPEN)
        _refuse(at >= self.terms.deadline, "the deadline has passed")
        _refuse(not self.cohort.deserted(), "enough of the round's trainers are seated")
        _refuse(len(self.cohort.seated()) < self.terms.quorum, "too few trainers are seated")
        patient = len(self.cohort.taking_part()) >= self.terms.quorum
        _refuse(patient and at < self._opened_at + self.terms.patience, "what the leavers delivered may still make the round")
        self._open_round(self.round, at)

    def equivocation(self, account: str, anchor: Anchor, one: Ballot, other: Ballot) -> None:
        """Two contradictory verdicts of one seat on one anchor cost it everything; `account` is the finder."""
        at = self.tick()
        self._running()
        kinds = {one.judgement, other.judgement}
        opposed = kinds == {Judgement.VALID, Judgement.WRONG} or (kinds == {Judgement.WRONG} and one.digest != other.digest)
        _refuse(one.seat != other.seat or not opposed, "the two verdicts do not contradict each other")
        for ballot in (one, other):
            self._check(anchor, [ballot], Judgement.VALID, Judgement.WRONG)
        self.cohort.members[self.cohort.seats[one.seat]].out = True
        self.cohort.penalise(self.cohort.seats[one.seat], BPS, account, at)

    def settle(self, account: str, milestone: int) -> None:
        at = self.tick()
        self._running()
        _refuse(milestone != self.settled or milestone >= self.terms.milestones, f"milestone {self.settled} is the next to settle")
        _refuse(at < self.firm_at(milestone), "the window of the last round still runs")
        _refuse(at >= self._escrow_ends(), "the escrow has expired; the job can only expire, too")
        anchor = self.last(milestone).anchor
        net = self.purse.complete(milestone)
        self.settled += 1
        self.log.append(
            facts.MilestoneSettled(job=self.job, at=at, milestone=milestone, net=net, credits=anchor.credits, model=anchor.model)
        )

    def expire(self, account: str) -> None:
        at = self.tick()
        _refuse(self.phase not in (Phase.ENROLLING, Phase.OPEN, Phase.DONE), "an anchor is under judgement, or the job has ended")
        _refuse(at < self.terms.deadline, "the deadline has not passed")
        complete = self.phase is not Phase.ENROLLING and self.round > (self.settled + 1) * self.span
        _refuse(complete and at < self._escrow_ends(), "a completed milestone is settled first")
        _refuse(self.settled == self.terms.milestones, "every milestone is settled; close the job")
        self._end(EXPIRED, at)

    def close(self, account: str) -> None:
        at = self.tick()
        self._running()
        _refuse(self.settled < self.terms.milestones, f"{self.settled} of {self.terms.milestones} milestones are settled")
        self._end(COMPLETED, at)

    def release(self, account: str, member: str) -> None:
        self.cohort.release(member, self.tick())

    @property
    def span(self) -> int:
        """Rounds of one milestone."""
        return self.terms.rounds // self.terms.milestones

    def last(self, milestone: int) -> Standing:
        """The last round of a milestone; ProtocolError while it is not final."""
        _refuse(self.round <= (milestone + 1) * self.span, f"milestone {milestone} is not complete")
        return self.standing[(milestone + 1) * self.span]

    def firm_at(self, milestone: int) -> int:
        """From when on no proof can undo the milestone."""
        return self.last(milestone).anchored_at + self.terms.window

    def _escrow_ends(self) -> int:
        return self.terms.deadline + ESCROW_WINDOWS * self.terms.window

    def _in(self, phase: Phase) -> None:
        _refuse(self.phase is not phase, f"the job is {self.phase}, not {phase}")

    def _running(self) -> None:
        _refuse(self.phase in (None, Phase.ENROLLING, Phase.CLOSED), f"the job is {self.phase}, it does not run")

    def _judged(self, anchor: Anchor, *phases: Phase) -> Standing:
        _refuse(self.phase not in phases, f"the job is {self.phase}")
        standing = self.standing[self.round]
        _refuse(standing.anchor != anchor, "another anchor is under judgement")
        return standing

    def _check(self, anchor: Anchor, ballots: Sequence[Ballot], *allowed: Judgement) -> None:
        """Every ballot is of a seat that counts, named once and in order, and signed by it for this anchor."""
        seats = [ballot.seat for ballot in ballots]
        _refuse(seats != sorted(set(seats)), "seats are named once and in ascending order")
        for ballot in ballots:
            _refuse(not 0 <= ballot.seat < len(self.cohort.seats), f"there is no seat {ballot.seat}")
            account = self.cohort.seats[ballot.seat]
            _refuse(self.cohort.members[account].out, f"seat {ballot.seat} is excluded")
            _refuse(ballot.judgement not in allowed, f"a verdict of {ballot.judgement.name.lower()} does not belong here")
            said = {Judgement.VALID: digest_of(anchor), Judgement.FETCHED: bytes(32)}.get(ballot.judgement, ballot.digest)
            _refuse(ballot.signature != verdict_seal(account, anchor, ballot.judgement, said), f"seat {ballot.seat} did not sign this")

    def _finalise(self, standing: Standing, ballots: Sequence[Ballot], at: int, *, by_time: bool) -> None:
        anchor = standing.anchor
        standing.seats = sum(1 << ballot.seat for ballot in ballots)
        self._model = anchor.model
        event = facts.RoundFinalised(job=self.job, at=at, round=anchor.round, attempt=anchor.attempt, by_time=by_time, seats=standing.seats)
        self.log.append(event)
        if anchor.round < self.terms.rounds:
            self._open_round(anchor.round + 1, at)
        else:
            self.round, self.phase = anchor.round + 1, Phase.DONE

    def _open_round(self, round: int, at: int) -> None:
        # A number is never used twice for one round, not even after an undo, so that nothing signed or registered fits two openings.
        self.round, self.attempt, self.phase = round, self._openings[round], Phase.OPEN
        self._openings[round] += 1
        self.cohort.muster()
        self._announce(at)

    def _announce(self, at: int) -> None:
        self._opened_at = at
        coordinator = self.coordinator or ZERO_ADDRESS
        fact = facts.RoundOpened(
            job=self.job, at=at, round=self.round, attempt=self.attempt, base=self._model, coordinator=coordinator, opened_at=at
        )
        self.log.append(fact)

    def _replace(self, at: int) -> None:
        before, self.coordinator = self.coordinator, self.cohort.next_coordinator(self.coordinator)
        self.log.append(facts.CoordinatorReplaced(job=self.job, at=at, round=self.round, previous=before, next=self.coordinator))

    def _end(self, reason: int, at: int) -> None:
        for milestone in range(self.settled, self.terms.milestones):
            self.purse.refund(milestone, self.client)
        self.cohort.closed = True
        self.phase = Phase.CLOSED
        self.log.append(facts.JobClosed(job=self.job, at=at, reason=reason))


def _refuse(condition: bool, sentence: str) -> None:
    if condition:
        raise ProtocolError(sentence)
