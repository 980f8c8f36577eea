"""The conservation model, second half: federated jobs as the specification describes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from eth_abi import encode
from eth_utils import keccak

from tests.contracts import payout
from tests.contracts.model_money import FUNDED, LEDGER, MARKET, Books, Market, Refused, Vault, need, net_of
from tests.contracts.world import COORDINATOR, FETCHED, TRAINER, VALID, VERIFIER, Anchor, Terms

ENROLLING, RUNNING, CLOSED = 1, 2, 3
ROUND_OPEN, ANCHORED, CHALLENGED = range(3)
LATE_BPS, LAPSE_BPS, WHOLE = 1_000, 5_000, 10_000


@dataclass
class Member:
    role: int
    index: int
    revealed: bool = False
    out: bool = False


@dataclass(eq=False)
class Record:
    """The last anchor of a round."""

    anchor: Anchor
    coordinator: int
    at: int
    trainers: tuple[str, ...]
    totals: dict[str, int]  # cumulative credits it names
    seats: list[int] = field(default_factory=list)
    challenger: str | None = None
    challenged_at: int = 0


@dataclass
class Job:
    id: int
    client: str
    terms: Terms
    model: bytes
    phase: int = ENROLLING
    round_phase: int = ROUND_OPEN
    round: int = 0
    attempt: int = 0
    opened_at: int = 0
    coordinator: int | None = 0
    settled: int = 0
    drawn: bool = False
    accrued: int = 0
    claimed: int = 0
    part: tuple[str, ...] = ()  # trainers of what is open; `lists` has those that are seated now
    openings: dict[int, int] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    lists: dict[int, list[str]] = field(default_factory=lambda: {TRAINER: [], COORDINATOR: [], VERIFIER: []})
    rounds: dict[int, Record] = field(default_factory=dict)
    payable: dict[str, int] = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)
    fees_taken: set[tuple[int, str]] = field(default_factory=set)

    @property
    def seats(self) -> list[str]:
        return self.lists[VERIFIER][: self.terms.verifiers]

    @property
    def surplus(self) -> bool:
        return len(self.lists[VERIFIER]) > self.terms.verifiers

    @property
    def revealed(self) -> list[str]:
        return [one for one in self.lists[VERIFIER] if self.members[one].revealed]

    @property
    def span(self) -> int:
        return self.terms.rounds // self.terms.milestones

    @property
    def reveal_by(self) -> int:
        return self.terms.enrolBy + self.terms.window

    def stake(self, role: int) -> int:
        return {TRAINER: self.terms.trainerStake, COORDINATOR: self.terms.coordinatorStake, VERIFIER: self.terms.verifierStake}[role]

    def who_coordinates(self) -> str | None:
        names = self.lists[COORDINATOR]
        return None if self.coordinator is None or not names else names[self.coordinator]

    @property
    def deserted(self) -> bool:
        return sum(one in self.lists[TRAINER] for one in self.part) < self.terms.quorum

    def done(self, milestone: int) -> bool:
        return self.round > (milestone + 1) * self.span

    def firm_from(self, milestone: int) -> int:
        return self.rounds[(milestone + 1) * self.span].at + self.terms.window


class Ledger:
    """RoundLedger and Cohort together; `address` and `secret` turn a name into what the draw hashes."""

    def __init__(self, books: Books, vault: Vault, market: Market, address: Callable[[str], str], secret: Callable[[str], bytes]) -> None:
        self.books, self.vault, self.market, self.address, self.secret = books, vault, market, address, secret
        self.jobs: dict[int, Job] = {}
        self.taken: set[int] = set()
        self.registered: set[str] = set()

    def job(self, job: int, *phases: int) -> Job:
        need(job in self.jobs and self.jobs[job].phase in phases, "phase")
        return self.jobs[job]

    def open(self, client: str, first: int, terms: Terms) -> None:
        for kernel_id in range(first, first + terms.milestones):
            kernel = self.market.job(kernel_id)
            need(kernel_id not in self.taken and kernel.client == client, "kernel")
            need(kernel.provider == kernel.evaluator == LEDGER and kernel.status == FUNDED, "kernel")
            need(kernel.expiry >= terms.deadline + 4 * terms.window, "expiry")
        self.taken |= set(range(first, first + terms.milestones))
        self.jobs[first] = Job(first, client, terms, terms.genesis)

    def enrol(self, job: int, who: str, role: int, now: int) -> None:
        j = self.job(job, *((ENROLLING, RUNNING) if role == TRAINER else (ENROLLING,)))
        until = j.terms.enrolBy if j.phase == ENROLLING else j.terms.deadline - j.terms.patience
        need(now < until and who in self.registered and who not in j.members, "enrol")
        need(role != TRAINER or len(j.lists[TRAINER]) < j.terms.maxTrainers, "full")
        self.vault.check_lock(who, j.stake(role))
        self.vault.lock(job, who, j.stake(role), j.terms.deadline + 4 * j.terms.window)
        j.members[who] = Member(role, len(j.lists[role]))
        j.lists[role].append(who)

    def leave(self, job: int, who: str) -> None:
        j = self.job(job, RUNNING)
        need(who in j.lists[TRAINER], "seat")
        j.lists[TRAINER].remove(who)
        self.vault.release(job, who)

    def reveal(self, job: int, who: str, now: int) -> None:
        j = self.job(job, ENROLLING)
        member = j.members.get(who)
        need(j.terms.enrolBy <= now < j.reveal_by and j.surplus, "time")
        need(member and member.role == VERIFIER and not member.revealed, "member")
        j.members[who].revealed = True

    def _enough(self, j: Job) -> bool:
        lists = j.lists
        return len(lists[TRAINER]) >= j.terms.quorum and bool(lists[COORDINATOR]) and len(lists[VERIFIER]) >= j.terms.verifiers

    def start(self, job: int, by: str, now: int) -> None:
        j = self.job(job, ENROLLING)
        need(now < j.terms.deadline and self._enough(j), "enough")
        need(now >= j.terms.enrolBy or (by == j.client and not j.surplus), "early")
        if j.surplus:
            need(now >= j.reveal_by or len(j.revealed) == len(j.lists[VERIFIER]), "revealing")
            need(len(j.revealed) >= j.terms.verifiers, "few")
            self._draw(j)
        j.phase, j.round = RUNNING, 1
        self._open_round(j, now)

    def _draw(self, j: Job) -> None:
        j.drawn = True
        names, mix, n = j.lists[VERIFIER], 0, 0
        for one in j.revealed:
            mix ^= int.from_bytes(keccak(encode(["address", "bytes32"], [self.address(one), self.secret(one)])), "big")
        for i, one in enumerate(list(names)):
            if j.members[one].revealed:
                names[n], names[i] = names[i], names[n]
                n += 1
        for i in range(j.terms.verifiers):
            k = i + int.from_bytes(keccak(encode(["uint256", "uint256"], [mix, i])), "big") % (n - i)
            names[i], names[k] = names[k], names[i]
        for i, one in enumerate(names):
            j.members[one].index = i

    def cancel(self, job: int, now: int) -> None:
        j = self.job(job, ENROLLING)
        need(now >= j.terms.enrolBy, "early")
        if self._enough(j):
            need(j.surplus and len(j.revealed) < j.terms.verifiers and now >= j.reveal_by, "enough")
            j.drawn = True
        self._end(j)

    def _end(self, j: Job) -> None:
        j.phase = CLOSED
        for kernel in range(j.id + j.settled, j.id + j.terms.milestones):
            if self.market.jobs[kernel].status == FUNDED:
                self.market.reject(kernel, LEDGER)

    def _open_round(self, j: Job, now: int) -> None:
        j.attempt = j.openings.get(j.round, 0)
        j.openings[j.round] = j.attempt + 1
        j.round_phase, j.opened_at, j.part = ROUND_OPEN, now, tuple(j.lists[TRAINER])

    def _penalise(self, j: Job, who: str, bps: int, finder: str | None) -> None:
        member = j.members[who]
        whole = j.stake(member.role)
        self.vault.slash(j.id, who, whole * bps // WHOLE, j.client, finder)
        if self.vault.left(j.id, who) * 2 < whole:
            member.out = True

    def _replace(self, j: Job) -> None:
        names, start = j.lists[COORDINATOR], j.coordinator
        assert start is not None
        order = [(start + i) % len(names) for i in range(1, len(names) + 1)]
        j.coordinator = next((i for i in order if not j.members[names[i]].out), None)

    def earned(self, record: Record, j: Job) -> payout.Earned:
        seats = tuple(self.address(j.seats[seat]) for seat in record.seats)
        trainers = tuple(self.address(one) for one in record.trainers)
        return payout.Earned(self.address(j.lists[COORDINATOR][record.coordinator]), trainers, seats)

    def totals(self, j: Job, accepted: Sequence[str]) -> dict[str, int]:
        """Cumulative credits after the current round, were it to end with these trainers accepted."""
        assert j.coordinator is not None
        now = payout.Earned(self.address(j.lists[COORDINATOR][j.coordinator]), tuple(self.address(one) for one in accepted), ())
        rounds = [self.earned(j.rounds[n], j) for n in range(1, j.round)]
        return self._payout(j, [*rounds, now])[0]

    def _payout(self, j: Job, rounds: list[payout.Earned]) -> tuple[dict[str, int], list[dict[str, int]]]:
        nets = [net_of(self.market.jobs[j.id + m].budget) for m in range(j.terms.milestones)]
        return payout.of_rounds(nets, j.span, (j.terms.coordinatorBps, j.terms.verifierBps), rounds)

    def anchor(self, job: int, who: str, record: Record, now: int) -> None:
        j = self.job(job, RUNNING)
        need(j.round_phase == ROUND_OPEN and j.round <= j.terms.rounds and now < j.terms.deadline, "phase")
        need(who == j.who_coordinates(), "coordinator")
        need(j.terms.quorum <= record.anchor.accepted <= len(j.part), "accepted")
        j.rounds[j.round] = record
        j.round_phase = ANCHORED

    def _ballot(self, j: Job, seats: Sequence[int]) -> None:
        need(all(not j.members[j.seats[seat]].out for seat in seats), "out")

    def finalise(self, job: int, ballot: dict[int, int], by_time: bool, now: int) -> None:
        j = self.job(job, RUNNING)
        need(j.round_phase != ROUND_OPEN, "phase")
        record = j.rounds[j.round]
        self._ballot(j, list(ballot))
        if by_time:
            need(j.round_phase == ANCHORED and now >= record.at + j.terms.window, "time")
            need(len(ballot) * 3 >= j.terms.verifiers, "few")
        else:
            need(list(ballot.values()).count(VALID) * 3 >= 2 * j.terms.verifiers, "few")
        need(all(verdict in (VALID, FETCHED) for verdict in ballot.values()), "verdict")
        if j.round_phase == CHALLENGED:
            half = j.terms.challengeBond // 2
            self.books.credit[LEDGER][j.lists[COORDINATOR][record.coordinator]] += half
            self.books.burn(LEDGER, j.terms.challengeBond - half)
        record.seats = sorted(ballot)
        j.model, j.round_phase, j.round = record.anchor.model, ROUND_OPEN, j.round + 1
        if j.round <= j.terms.rounds:
            self._open_round(j, now)

    def challenge(self, job: int, who: str, now: int) -> None:
        j = self.job(job, RUNNING)
        need(j.round_phase == ANCHORED and now < j.rounds[j.round].at + j.terms.window, "phase")
        self.books.pull(LEDGER, who, j.terms.challengeBond)
        record = j.rounds[j.round]
        record.challenger, record.challenged_at, j.round_phase = who, now, CHALLENGED

    def _return_bond(self, j: Job) -> None:
        challenger = j.rounds[j.round].challenger
        assert challenger
        self.books.credit[LEDGER][challenger] += j.terms.challengeBond

    def condemn(self, job: int, record: Record, seats: Sequence[int], now: int) -> None:
        j = self.job(job, RUNNING)
        number = record.anchor.round
        need(j.rounds.get(number) is record, "replaced")
        need(number < j.round or (number == j.round and j.round_phase != ROUND_OPEN), "standing")
        need(number == j.round or now < record.at + j.terms.window, "window")
        self._ballot(j, seats)
        need(len(seats) * 3 >= 2 * j.terms.verifiers, "few")
        if j.round_phase == CHALLENGED:
            self._return_bond(j)
        j.round, j.model = number, record.anchor.base
        liar = j.lists[COORDINATOR][record.coordinator]
        self._penalise(j, liar, WHOLE, record.challenger)
        if j.who_coordinates() == liar:
            self._replace(j)
        self._open_round(j, now)

    def lapse(self, job: int, now: int) -> None:
        j = self.job(job, RUNNING)
        need(j.round_phase == ANCHORED and now >= j.rounds[j.round].at + 2 * j.terms.window, "phase")
        self._penalise(j, j.lists[COORDINATOR][j.rounds[j.round].coordinator], LAPSE_BPS, None)
        self._replace(j)
        self._open_round(j, now)

    def void(self, job: int, now: int) -> None:
        j = self.job(job, RUNNING)
        need(j.round_phase == CHALLENGED and now >= j.rounds[j.round].challenged_at + j.terms.window, "phase")
        self._return_bond(j)
        self._replace(j)
        self._open_round(j, now)

    def takeover(self, job: int, who: str, now: int) -> None:
        j = self.job(job, RUNNING)
        need(j.round_phase == ROUND_OPEN and j.round <= j.terms.rounds and now < j.terms.deadline, "phase")
        member, late = j.members.get(who), j.who_coordinates()
        need(member and member.role == COORDINATOR and not member.out and who != late, "who")
        need(now >= j.opened_at + j.terms.patience, "patience")
        need(not j.deserted or len(j.lists[TRAINER]) < j.terms.quorum, "regroup")
        j.coordinator, j.opened_at = j.members[who].index, now
        assert late
        if not j.deserted:
            self._penalise(j, late, LATE_BPS, None)

    def regroup(self, job: int, now: int) -> None:
        j = self.job(job, RUNNING)
        need(j.round_phase == ROUND_OPEN and j.round <= j.terms.rounds and now < j.terms.deadline, "phase")
        need(j.deserted and len(j.lists[TRAINER]) >= j.terms.quorum, "trainers")
        need(len(j.part) < j.terms.quorum or now >= j.opened_at + j.terms.patience, "patience")
        self._open_round(j, now)

    def equivocation(self, job: int, seat: int, by: str) -> None:
        j = self.job(job, RUNNING)
        self._ballot(j, [seat])
        self._penalise(j, j.seats[seat], WHOLE, by)

    def settle(self, job: int, milestone: int, now: int) -> None:
        j = self.job(job, RUNNING)
        need(milestone == j.settled < j.terms.milestones and j.done(milestone), "order")
        need(now >= j.firm_from(milestone), "window")
        self.market.submit(job + milestone, LEDGER, now)
        self.market.complete(job + milestone, LEDGER)
        net = self.books.credit[MARKET].pop(LEDGER)
        self.books.held[MARKET] -= net
        self.books.held[LEDGER] += net
        j.settled += 1
        j.accrued += net - sum(price * j.terms.verifierBps // WHOLE for price in payout.prices(net, j.span))
        j.payable = j.rounds[(milestone + 1) * j.span].totals

    def claim(self, job: int, who: str) -> None:
        need(job in self.jobs, "unknown")
        j = self.jobs[job]
        amount = j.payable.get(self.address(who), 0) - j.paid.get(who, 0)
        need(amount > 0, "nothing")
        assert j.claimed + amount <= j.accrued, "an honest root never exceeds the accrual"
        j.claimed += amount
        j.paid[who] = j.paid.get(who, 0) + amount
        self.books.pay(LEDGER, who, amount)

    def claim_fee(self, job: int, milestone: int, who: str) -> None:
        need(job in self.jobs, "unknown")
        j = self.jobs[job]
        need(j.phase != ENROLLING and who in j.seats and milestone < j.settled and (milestone, who) not in j.fees_taken, "who")
        rounds = [self.earned(j.rounds[n], j) for n in range(1, (milestone + 1) * j.span + 1)]
        amount = self._payout(j, rounds)[1][milestone].get(self.address(who), 0)
        need(amount, "nothing")
        j.fees_taken.add((milestone, who))
        self.books.pay(LEDGER, who, amount)

    def expire(self, job: int, now: int) -> None:
        j = self.job(job, ENROLLING, RUNNING)
        need(now >= j.terms.deadline and j.round_phase == ROUND_OPEN and j.settled < j.terms.milestones, "time")
        if j.done(j.settled):
            kernel = self.market.jobs[job + j.settled]
            need(kernel.status != FUNDED or now >= kernel.expiry, "unsettled")
        self._end(j)

    def close(self, job: int) -> None:
        j = self.job(job, RUNNING)
        need(j.settled == j.terms.milestones, "unsettled")
        self._end(j)

    def release(self, job: int, who: str) -> None:
        need(job in self.jobs, "unknown")
        j = self.jobs[job]
        need(who in j.members, "member")
        member = j.members[who]
        unseated = j.phase == RUNNING and member.role == VERIFIER and member.index >= j.terms.verifiers
        need(j.phase == CLOSED or unseated, "bound")
        if j.drawn and member.role == VERIFIER and not member.revealed:
            self._penalise(j, who, LATE_BPS, None)
        self.vault.release(job, who)


__all__ = ["ANCHORED", "CHALLENGED", "CLOSED", "ENROLLING", "ROUND_OPEN", "RUNNING", "Job", "Ledger", "Record", "Refused"]
