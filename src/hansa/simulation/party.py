"""Honest parties of a simulated world: each folds its journal and the ledger into facts, asks `hansa.rounds` what is due, and does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hansa.core.encoding import sha256
from hansa.core.types import Role
from hansa.rounds import duties
from hansa.rounds.anchor import Anchor
from hansa.rounds.client import client_duties
from hansa.rounds.credits import credit_proof
from hansa.rounds.duties import Ballot, Duty
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted
from hansa.simulation.miniature import GENESIS, credit_table
from hansa.simulation.world import World

Entry = tuple[Any, ...]
"""One journal record: its kind first."""


class Party:
    """`journal` and `blobs` survive a crash, all else does not; `steady_since` is when the party was last disturbed."""

    role: Role | None = None
    honest = True
    thinking = 1.0
    """Seconds that training, summing or checking takes."""

    def __init__(self, world: World, account: str) -> None:
        self.world, self.account = world, account
        self.journal: list[Entry] = []
        self.blobs: dict[bytes, bytes] = {sha256(GENESIS): GENESIS}
        self.up, self.life = True, 0
        self.steady_since = world.clock.now()
        self._begin()

    def _begin(self) -> None:
        self._known = 0
        self._under_way: set[str] = set()
        self.claimed: set[int] = set()
        self.forget()
        for entry in self.journal:
            self.remember(*entry)

    def forget(self) -> None:
        """Empty memory, before the journal is folded again."""

    def remember(self, kind: str, *values: Any) -> None:
        """Fold one journal entry into memory."""
        if kind == "claimed":
            self.claimed.add(values[0])

    def note(self, *entry: Any) -> None:
        """Journal first, remember second."""
        self.journal.append(entry)
        self.remember(*entry)

    def kill(self) -> None:
        self.up = False
        self.disturbed()

    def restart(self) -> None:
        self.up = True
        self.life += 1
        self.disturbed()
        self._begin()

    def disturbed(self) -> None:
        self.steady_since = self.world.clock.now()

    def serves(self, digest: bytes) -> bool:
        """Whether others get this blob from here."""
        return True

    def keep(self, *blobs: bytes) -> None:
        for blob in blobs:
            self.blobs[sha256(blob)] = self.world.seen[sha256(blob)] = blob

    def bring(self, accepted: Accepted, blob: bytes, attempt: int) -> bool:
        """Take a trainer's update; true is the receipt. Only a coordinator in office does."""
        return False

    def lodge(self, accepted: Accepted, blob: bytes) -> None:
        """Take an update that its trainer is about to register; only verifiers do (R5)."""

    def lodged(self, job: JobState) -> Mapping[str, Accepted]:
        """Updates of the current round that were left here, by trainer."""
        return {}

    def hear(self, anchor: Anchor, ballot: Ballot) -> bool:
        """Take a seat's verdict; false asks for it again later."""
        return True

    def hear_measure(self, milestone: int, seat: int, metric: int, seal: bytes) -> None:
        """Take a seat's signed evaluation of a milestone's model."""

    def fetch(self, digest: bytes) -> bytes | None:
        return self.world.fetch(self, digest)

    @property
    def view(self) -> JobState:
        """The job as far as this party has read the ledger."""
        return self.world.state(self._known)

    def look(self) -> None:
        """Read the ledger if it can be reached, then take up what is due and not under way."""
        if self.world.reaches_ledger(self.account):
            self._known = len(self.world.referee.log)
        if not self._known:
            return
        job = self.view
        for duty in self.due(job, self.world.referee.clock.time()):
            if duty.name not in self._under_way:
                self._under_way.add(duty.name)
                self.perform(job, duty)

    def due(self, job: JobState, now: float) -> list[Duty]:
        raise NotImplementedError

    def ended(self, duty: Duty) -> None:
        """The duty's work is over, well or badly; if it is still due it is taken up again."""
        self._under_way.discard(duty.name)

    def perform(self, job: JobState, duty: Duty) -> None:
        """The duties that anyone may have; each is one transaction."""
        referee, me = self.world.referee, self.account
        match duty:
            case duties.Claim(milestone=milestone):
                self._claim(job, duty, milestone)
            case duties.Finalise(anchor=anchor, ballots=ballots, by_time=by_time):
                call = referee.finalise_by_time if by_time else referee.finalise
                self.transact(duty, lambda: call(me, anchor, ballots))
            case duties.Condemn(anchor=anchor, digest=digest, ballots=ballots):
                self.transact(duty, lambda: referee.condemn(me, anchor, digest, ballots))
            case duties.Lapse(anchor=anchor):
                self.transact(duty, lambda: referee.lapse(me, anchor))
            case duties.VoidRound(anchor=anchor):
                self.transact(duty, lambda: referee.void_round(me, anchor))
            case duties.Settle(milestone=milestone):
                self.transact(duty, lambda: referee.settle(me, milestone))
            case duties.Release():
                self.transact(duty, lambda: referee.release(me, me))
            case _:
                calls: Mapping[type[Duty], Callable[[str], None]] = {
                    duties.Start: referee.start, duties.Cancel: referee.cancel, duties.Takeover: referee.takeover,
                    duties.Expire: referee.expire, duties.Close: referee.close, duties.Regroup: referee.regroup,
                    duties.Leave: referee.leave,
                }  # fmt: skip
                self.transact(duty, lambda: calls[type(duty)](me))

    def transact(self, duty: Duty, call: Callable[[], None], done: Callable[[bool], None] = lambda well: None) -> None:
        def after(well: bool) -> None:
            self.ended(duty)
            done(well)

        self.world.transact(self, duty.name, call, after)

    def _claim(self, job: JobState, duty: Duty, milestone: int) -> None:
        table = credit_table(job.final[(milestone + 1) * job.rounds_per_milestone - 1].anchor, self.fetch)
        if table is None:
            return self.ended(duty)
        mine = {account: amount for account, amount in table.items() if account == self.account}
        if not mine:
            return self.note("claimed", milestone)
        ((account, amount),) = mine.items()
        proof = credit_proof(job.id, table, account)
        return self.transact(
            duty, lambda: self.world.payout.claim(account, amount, proof), lambda well: self.note("claimed", milestone) if well else None
        )


class Client(Party):
    """Opens the job's acceptance shards; `shards` are (digest, salt, proof) by milestone."""

    def __init__(self, world: World, account: str, shards: tuple[tuple[bytes, bytes, tuple[bytes, ...]], ...] = ()) -> None:
        self.shards = shards
        super().__init__(world, account)

    def due(self, job: JobState, now: float) -> list[Duty]:
        return client_duties(job, self.account, len(self.shards), now)

    def perform(self, job: JobState, duty: Duty) -> None:
        if isinstance(duty, duties.OpenShard):
            shard = self.shards[duty.milestone]
            return self.transact(duty, lambda: self.world.payout.open_shard(self.account, duty.milestone, *shard))
        return super().perform(job, duty)
