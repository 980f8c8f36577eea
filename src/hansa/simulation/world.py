"""A world of discrete events: parties as folds with duties over a referee, messages that are lost, delayed and cut off, crashes.

No threads, no sockets, no waiting: `step` moves a manual clock and lets every party that is up look at the ledger and do what is due.
A crash takes what was under way and in memory; a party's journal and blobs survive it. The same seed gives the same history.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from itertools import count
from typing import TYPE_CHECKING

from hansa.core.clock import ManualClock
from hansa.core.encoding import sha256
from hansa.core.errors import ProtocolError
from hansa.rounds import events as facts
from hansa.rounds.anchor import Anchor
from hansa.rounds.events import Terms
from hansa.rounds.job import JobState, apply, open_job
from hansa.simulation.miniature import GENESIS
from hansa.simulation.payout import Payout
from hansa.simulation.purse import Purse
from hansa.simulation.referee import Referee

if TYPE_CHECKING:
    from hansa.simulation.party import Party


class World:
    """`loss` is the share of messages lost, `delay` the longest time in seconds that one or a transaction takes."""

    def __init__(self, wallets: dict[str, int], *, seed: int = 0, loss: float = 0.0, delay: float = 0.0, max_gap: int = 600) -> None:
        self.clock = ManualClock()
        self.purse = Purse(wallets)
        self.referee = Referee(self.clock, self.purse, max_gap=max_gap)
        self.payout = Payout(self.referee)
        self.parties: dict[str, Party] = {}
        self.loss, self.delay = loss, delay
        self.refused: list[tuple[str, str, str]] = []
        self.anchors_sent: dict[tuple[str, int, int], set[Anchor]] = {}
        self.seen: dict[bytes, bytes] = {sha256(GENESIS): GENESIS}
        self._random = random.Random(seed)
        self._queue: list[tuple[float, int, Party | None, int, Callable[[], None]]] = []
        self._order = count()
        self._states: list[JobState] = []
        self._island: dict[str, int] = {}
        self._offline: set[str] = set()
        self._done: set[tuple[str, str]] = set()

    # ---- what a test sets up

    def open(self, client: str, terms: Terms, budgets: Iterable[int]) -> None:
        self.referee.open(client, terms, list(budgets))

    def add(self, party: Party) -> None:
        self.parties[party.account] = party

    def kill(self, account: str) -> None:
        """As `kill -9`: memory and work under way are gone."""
        self.parties[account].kill()

    def restart(self, account: str) -> None:
        if not self.parties[account].up:
            self.parties[account].restart()

    def part(self, island: Iterable[str]) -> None:
        """These parties hear only each other; they still reach the ledger."""
        self._island = dict.fromkeys(island, 1)

    def cut_off(self, account: str) -> None:
        """The party does not reach the ledger; it acts on what it knew."""
        self._offline.add(account)
        self.parties[account].disturbed()

    def heal(self) -> None:
        self._island.clear()
        for account in self._offline:
            self.parties[account].disturbed()
        self._offline.clear()

    # ---- what a party sees and does

    def state(self, upto: int) -> JobState:
        """The job after the first `upto` facts, which are at least one."""
        log = self.referee.log
        while len(self._states) < upto:
            fact = log[len(self._states)]
            self._states.append(apply(self._states[-1], fact) if self._states else _opened(fact))
        return self._states[upto - 1]

    def job(self) -> JobState:
        """The job as the ledger has it now."""
        return self.state(len(self.referee.log))

    def reaches_ledger(self, account: str) -> bool:
        return account not in self._offline

    def connected(self, one: str, other: str) -> bool:
        return self._island.get(one, 0) == self._island.get(other, 0) and self.parties[one].up and self.parties[other].up

    def later(self, seconds: float, party: Party, work: Callable[[], None]) -> None:
        """Work that is lost if the party crashes before it ends."""
        heapq.heappush(self._queue, (self.clock.now() + seconds, next(self._order), party, party.life, work))

    def send(self, sender: Party, recipient: str, arrive: Callable[[Party], None]) -> None:
        """One message; lost by chance, by a partition when it arrives, or because the recipient is down."""
        if self._random.random() < self.loss:
            return
        target = self.parties[recipient]

        def deliver() -> None:
            if self.connected(sender.account, recipient):
                arrive(target)

        self.later(self._latency(), sender, deliver)

    def transact(self, party: Party, intent: str, call: Callable[[], None], done: Callable[[bool], None]) -> None:
        """Send one transaction: the same (account, intent) succeeds once, ever; `done(False)` when the ledger refuses."""

        life = party.life

        def mine() -> None:
            # Once sent, it is mined though its sender may have crashed meanwhile; only the answer is lost then.
            well = (party.account, intent) in self._done
            if not well:
                ticked = self.referee.clock.last, self.referee.clock.extension
                try:
                    call()
                    self._done.add((party.account, intent))
                    well = True
                except ProtocolError as error:
                    # A refused transaction leaves nothing behind, not even its tick.
                    self.referee.clock.last, self.referee.clock.extension = ticked
                    self.refused.append((party.account, intent, str(error)))
            if party.up and party.life == life:
                done(well)

        if self.reaches_ledger(party.account):
            heapq.heappush(self._queue, (self.clock.now() + self._latency(), next(self._order), None, 0, mine))
        else:
            done(False)

    def fetch(self, reader: Party, digest: bytes) -> bytes | None:
        """A blob from the reader itself or from whoever it reaches and who serves it."""
        if digest in reader.blobs:
            return reader.blobs[digest]
        for party in self.parties.values():
            if party is not reader and digest in party.blobs and self.connected(reader.account, party.account) and party.serves(digest):
                reader.blobs[digest] = party.blobs[digest]
                return party.blobs[digest]
        return None

    def _latency(self) -> float:
        return self._random.uniform(0.0, self.delay) if self.delay else 0.0

    # ---- time

    def step(self, seconds: float = 1.0) -> None:
        """Let time pass; messages arrive and work ends in order, then every party that is up looks at what is due."""
        self.clock.advance(seconds)
        for party in self.parties.values():
            if party.up and self.referee.clock.due() and self.reaches_ledger(party.account):
                self.referee.tick()
            self._drain()
            if party.up:
                party.look()
        self._drain()

    def run(self, seconds: float, *, until: Callable[[], bool] = lambda: False, pace: float = 1.0) -> None:
        """Steps of `pace` seconds until `until` holds or the time is over."""
        end = self.clock.now() + seconds
        while self.clock.now() < end and not until():
            self.step(pace)

    def _drain(self) -> None:
        while self._queue and self._queue[0][0] <= self.clock.now():
            _, _, party, life, work = heapq.heappop(self._queue)
            if party is None or (party.up and party.life == life):
                work()


def _opened(fact: facts.LedgerEvent) -> JobState:
    if not isinstance(fact, facts.JobOpened):
        raise ProtocolError("the first fact of a job is that it was opened")
    return open_job(fact)
