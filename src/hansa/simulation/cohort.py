"""The people of a simulated job: enrolment, the drawn seats, penalties and who is out; the twin of the contract `Cohort`."""

from __future__ import annotations

from dataclasses import dataclass

from hansa.core.encoding import keccak
from hansa.core.errors import ProtocolError
from hansa.core.types import Role
from hansa.rounds import events as facts
from hansa.rounds.events import LedgerEvent, Terms
from hansa.simulation.purse import BPS, Purse

LATE_BPS = 1_000
"""Lateness, and a commitment that was not revealed, cost this share of a role's stake."""


def commitment(job: int, account: str, value: bytes, salt: bytes) -> bytes:
    """keccak(job, account, value, salt): a candidate's share of the draw, fixed before any other is known (R13)."""
    return keccak(b"|".join((str(job).encode(), account.encode(), value, salt)))


@dataclass
class Member:
    """A trainer takes part in the openings from `first` to `last`; without a last one it is seated."""

    role: Role
    committed: bytes = b""
    revealed: bool = False
    out: bool = False
    first: int = 1
    last: int | None = None


class Cohort:
    """Appends its facts to `log`; refuses with ProtocolError where the contract reverts."""

    def __init__(self, job: int, terms: Terms, client: str, purse: Purse, log: list[LedgerEvent]) -> None:
        self.members: dict[str, Member] = {}
        self.seats: tuple[str, ...] = ()
        self.closed = False
        self.openings = 0
        self._job, self._terms, self._client, self._purse, self._log = job, terms, client, purse, log
        self._mix = 0
        self._forfeits = False

    def accounts(self, role: Role) -> tuple[str, ...]:
        """Members of a role in order of enrolment."""
        return tuple(account for account, member in self.members.items() if member.role is role)

    def seated(self) -> tuple[str, ...]:
        """Trainers that have not left."""
        return tuple(account for account in self.accounts(Role.TRAINER) if self.members[account].last is None)

    def taking_part(self) -> tuple[str, ...]:
        """Trainers of the last opening: seated before it, and not left before it."""
        members = ((account, self.members[account]) for account in self.accounts(Role.TRAINER))
        return tuple(
            account for account, each in members if each.first <= self.openings and (each.last is None or each.last >= self.openings)
        )

    def deserted(self) -> bool:
        """Whether fewer trainers of the last opening than the quorum are still seated."""
        return sum(self.members[account].last is None for account in self.taking_part()) < self._terms.quorum

    def muster(self) -> None:
        """Count a new opening; who is seated now takes part in it."""
        self.openings += 1

    def enrol(self, account: str, role: Role, committed: bytes, at: int) -> None:
        """Once seats are fixed only trainers come, as long as a whole patience is left."""
        if self.seats and role is not Role.TRAINER:
            raise ProtocolError("only trainers join a job that runs")
        if at >= (self._terms.deadline - self._terms.patience if self.seats else self._terms.enrol_by):
            raise ProtocolError("enrolment has ended")
        if account in self.members:
            raise ProtocolError(f"{account} has a role in this job already")
        if (role is Role.VERIFIER) != bool(committed):
            raise ProtocolError("verifiers commit to a value for the draw, others to none")
        if role is Role.TRAINER and len(self.seated()) == self._terms.max_trainers:
            raise ProtocolError("every place for a trainer is taken")
        self._purse.lock(account, self._stake_of(role))
        self.members[account] = Member(role, committed, first=self.openings + 1)
        self._log.append(facts.Enrolled(job=self._job, at=at, account=account, role=int(role)))

    def leave(self, account: str, at: int) -> None:
        """A trainer's seat is free at once, and so is its stake: no rule touches it."""
        if account not in self.seated():
            raise ProtocolError(f"{account} has no trainer's seat to give up")
        self.members[account].last = self.openings
        self._log.append(facts.Left(job=self._job, at=at, account=account))
        self._purse.release(account)
        self._log.append(facts.MemberReleased(job=self._job, at=at, account=account))

    def reveal(self, account: str, value: bytes, salt: bytes, at: int) -> None:
        if not self._terms.enrol_by <= at < self._reveal_by():
            raise ProtocolError("values are revealed within one window after enrolment")
        member = self.members.get(account)
        if member is None or member.role is not Role.VERIFIER or member.revealed or not self._surplus():
            raise ProtocolError(f"{account} has nothing to reveal")
        if commitment(self._job, account, value, salt) != member.committed:
            raise ProtocolError(f"{account} committed to another value")
        member.revealed = True
        self._mix ^= int.from_bytes(keccak(account.encode() + value))
        self._log.append(facts.Revealed(job=self._job, at=at, account=account))

    def seat(self, at: int, by_client: bool) -> None:
        """Fix the seats. Before `enrol_by` only for the client and when nobody is too many."""
        if missing := self._missing():
            raise ProtocolError(f"too few {missing} enrolled")
        surplus = self._surplus()
        if at < self._terms.enrol_by and (surplus or not by_client):
            raise ProtocolError("enrolment still runs")
        candidates = list(self.accounts(Role.VERIFIER))
        if surplus:
            revealed = [account for account in candidates if self.members[account].revealed]
            if at < self._reveal_by() and len(revealed) < len(candidates):
                raise ProtocolError("not every candidate has revealed, and the time for it still runs")
            if len(revealed) < self._terms.verifiers:
                raise ProtocolError("too few candidates revealed")
            candidates = self._drawn(revealed)
            self._forfeits = True
        self.seats = tuple(candidates[: self._terms.verifiers])
        self._log.append(facts.Seated(job=self._job, at=at, verifiers=self.seats, coordinators=self.accounts(Role.COORDINATOR)))

    def cancel(self, at: int) -> None:
        if at < self._terms.enrol_by:
            raise ProtocolError("enrolment still runs")
        if not self._missing():
            revealed = sum(self.members[account].revealed for account in self.accounts(Role.VERIFIER))
            if not self._surplus() or revealed >= self._terms.verifiers:
                raise ProtocolError("enough enrolled; start the job")
            if at < self._reveal_by():
                raise ProtocolError("candidates still have time to reveal")
            self._forfeits = True
        self.closed = True

    def release(self, account: str, at: int) -> int:
        """Lock back, less a tenth for who had to reveal and did not; answers the amount."""
        member = self.members.get(account)
        if member is None:
            raise ProtocolError(f"{account} has no role in this job")
        unseated = member.role is Role.VERIFIER and bool(self.seats) and account not in self.seats
        if not self.closed and not unseated:
            raise ProtocolError(f"{account} is bound until the job ends")
        if self._forfeits and member.role is Role.VERIFIER and not member.revealed:
            self.penalise(account, LATE_BPS, "", at)
        amount = self._purse.release(account)
        self._log.append(facts.MemberReleased(job=self._job, at=at, account=account))
        return amount

    def penalise(self, account: str, bps: int, finder: str, at: int) -> None:
        """Take a share of what the role staked, 40 % of it for the client; a member with less than half left is out."""
        member = self.members.get(account)
        if member is None:
            return
        whole = self._stake_of(member.role)
        taken = self._purse.slash(account, whole * bps // BPS, self._client, finder)
        out = self._purse.locks.get(account, 0) * 2 < whole
        member.out = member.out or out
        self._log.append(facts.Penalised(job=self._job, at=at, account=account, role=int(member.role), amount=taken, out=out))

    def next_coordinator(self, current: str) -> str:
        """Who follows in order of enrolment and is not out: itself when it is the only one left, nobody when none is."""
        order = self.accounts(Role.COORDINATOR)
        first = order.index(current) + 1 if current in order else 0
        return next((account for account in (*order[first:], *order[:first]) if not self.members[account].out), "")

    def _missing(self) -> str:
        if len(self.accounts(Role.TRAINER)) < self._terms.quorum:
            return "trainers"
        if not self.accounts(Role.COORDINATOR):
            return "coordinators"
        return "verifiers" if len(self.accounts(Role.VERIFIER)) < self._terms.verifiers else ""

    def _surplus(self) -> bool:
        return len(self.accounts(Role.VERIFIER)) > self._terms.verifiers

    def _reveal_by(self) -> int:
        return self._terms.enrol_by + self._terms.window

    def _drawn(self, revealed: list[str]) -> list[str]:
        """Seats are the first places of a Fisher-Yates shuffle by the mixed values."""
        order, mix = list(revealed), self._mix.to_bytes(32)
        for place in range(self._terms.verifiers):
            pick = place + int.from_bytes(keccak(mix + place.to_bytes(32))) % (len(order) - place)
            order[place], order[pick] = order[pick], order[place]
        return order

    def _stake_of(self, role: Role) -> int:
        return {
            Role.TRAINER: self._terms.trainer_stake,
            Role.COORDINATOR: self._terms.coordinator_stake,
            Role.VERIFIER: self._terms.verifier_stake,
        }[role]
