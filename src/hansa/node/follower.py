"""The ledger followed live: events folded into jobs, directory and clock; a reorganisation is met by folding again from the start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from hansa.chain.cursor import Cursor, Position, Rollback
from hansa.chain.events import Event
from hansa.core.errors import LedgerError, ProtocolError
from hansa.core.types import Address
from hansa.node.directory import Directory
from hansa.rounds.events import JobOpened, Terms, decode_event
from hansa.rounds.job import JobState, apply, open_job

log = logging.getLogger(__name__)

POLL = 0.04
"""Seconds between looks at the head of a chain that does not push."""

_JOB_CONTRACTS = ("RoundLedger", "Cohort", "Acceptance")

Nets = Callable[[int, int], Awaitable[tuple[int, ...]]]
"""(first kernel job, milestones) -> what each pays after the market's fee."""


class Follower:
    """Keeps `jobs` up to date and wakes whoever waits for a change; `anchors` says where each anchor was mined, for reports."""

    def __init__(self, cursor: Cursor, nets: Nets) -> None:
        self._cursor, self._nets = cursor, nets
        self._position: Position | None = None
        self._changed = asyncio.Condition()
        self.jobs: dict[int, JobState] = {}
        self.anchors: dict[tuple[int, int, int], Event] = {}
        self.directory = Directory()
        self.extension = 0
        self.healthy = False

    async def catch_up(self) -> bool:
        """Read and fold what is there; True when anything changed."""
        changed = False
        while True:
            news, position = await self._cursor.read(self._position)
            if any(isinstance(each, Rollback) for each in news):
                log.warning("reorganised", extra={"block": position.next})
                self._forget()
                changed = True
                continue
            for event in news:
                if isinstance(event, Event):
                    await self._fold(event)
            self._position, before = position, self._position
            changed |= bool(news)
            if before is not None and position.next == before.next:
                break
        self.healthy = True
        if changed:
            async with self._changed:
                self._changed.notify_all()
        return changed

    def _forget(self) -> None:
        self._position = None
        self.jobs.clear()
        self.anchors.clear()
        self.directory.clear()
        self.extension = 0

    async def _fold(self, event: Event) -> None:
        if event.contract == "NodeRegistry":
            self.directory.fold(event.name, event.args)
        elif event.contract == "Clock" and event.name == "Extended":
            self.extension = int(str(event.args["extension"]))
        elif event.contract in _JOB_CONTRACTS:
            await self._fold_job(event)

    async def _fold_job(self, event: Event) -> None:
        arguments = dict(event.args)
        if event.name == "JobOpened":
            terms = msgspec.convert(arguments["terms"], Terms)
            arguments["nets"] = await self._nets(int(str(arguments["job"])), terms.milestones)
        fact = decode_event(event.name, arguments, event.timestamp - self.extension)
        if fact is None:
            return
        if event.name == "RoundAnchored":
            state = self.jobs[fact.job]
            self.anchors[(fact.job, state.round, state.attempt)] = event
        if isinstance(fact, JobOpened):
            self.jobs[fact.job] = open_job(fact)
        elif fact.job in self.jobs:
            self.jobs[fact.job] = apply(self.jobs[fact.job], fact)
        else:
            raise ProtocolError(f"the ledger reports on job {fact.job}, which was never opened: events were missed")

    async def run(self) -> None:
        """Follow for ever; a chain that is down is asked again and again, nothing is lost meanwhile."""
        pause = POLL
        while True:
            try:
                await self.catch_up()
                pause = POLL
            except LedgerError as error:
                if self.healthy:
                    log.warning("chain unreachable", extra={"error": str(error)})
                self.healthy = False
                pause = min(pause * 2, 1.0)
            except ProtocolError:
                # Events and state disagree: fold the whole history again rather than go on from a wrong state.
                log.exception("folding again")
                self._forget()
                pause = 1.0
            await asyncio.sleep(pause)

    async def change(self, timeout: float) -> None:
        """Return after the next change, or after `timeout` seconds."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait(), timeout)
            except TimeoutError:
                return

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Follower]:
        """Caught up once, then following until the block ends."""
        task = asyncio.create_task(self.run(), name="follower")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def knows(self, key: Address) -> bool:
        """Whether a key belongs to a registered node or to the client of a job: who may talk to a node at all."""
        return key in self.directory or any(job.client == key for job in self.jobs.values())
