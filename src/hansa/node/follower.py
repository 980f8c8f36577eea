"""The ledger followed live: events folded into jobs, directory and clock; a reorganisation is met by folding again from the start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import msgspec

from hansa.chain.cursor import Cursor, Position, Rollback
from hansa.chain.events import Event
from hansa.core.errors import FormatError, LedgerError, ProtocolError
from hansa.core.types import Address
from hansa.node.directory import Directory
from hansa.rounds.events import JobOpened, RoundAnchored, Terms, decode_event
from hansa.rounds.job import JobState, apply, open_job

log = logging.getLogger(__name__)

LOOK = 5.0
"""Seconds after which the head is looked at in any case: a reorganisation need not make the chain longer."""
_BREATH = 0.02
_LAST_PAUSE = 1.0

_JOB_CONTRACTS = ("RoundLedger", "Cohort", "Acceptance")

Nets = Callable[[int, int], Awaitable[tuple[int, ...]]]
"""(first kernel job, milestones) -> what each pays after the market's fee."""


class Follower:
    """Keeps `jobs` up to date and wakes whoever waits for a change; `anchors` says where each anchor was mined, for reports."""

    def __init__(self, cursor: Cursor, nets: Nets) -> None:
        self._cursor, self._nets = cursor, nets
        self._position: Position | None = None
        self._changed = asyncio.Event()
        self.jobs: dict[int, JobState] = {}
        self.anchors: dict[tuple[int, int, int], Event] = {}
        self.directory = Directory()
        self.extension = 0
        self.moved = 0
        """Block time of the last event of a job, which is also when the protocol's clock ticked at the latest (R16)."""
        self.healthy = False

    async def catch_up(self) -> bool:
        """Read and fold up to the head; True when there was a block that was not known before."""
        started = self._position
        while True:
            before = self._position
            news, position = await self._cursor.read(before)
            if any(isinstance(each, Rollback) for each in news):
                log.warning("reorganised", extra={"block": position.next})
                self._forget()
                continue
            events = [each for each in news if isinstance(each, Event)]
            # What a job pays is asked for before anything is folded, so that nobody ever sees half of a block.
            nets = {_job_of(event): await self._nets_of(event) for event in events if event.name == "JobOpened"}
            for event in events:
                self._fold(event, nets)
            self._position = position
            if before is None or position.next != before.next:
                if self.healthy:
                    self._tell()
                continue
            break
        if not self.healthy:
            self.healthy = True
            self._tell()
        return self._position != started

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _forget(self) -> None:
        """Nothing is known, hence nothing is done, until all has been folded again."""
        self.healthy = False
        self._position = None
        self.jobs.clear()
        self.anchors.clear()
        self.directory.clear()
        self.extension = 0

    async def _nets_of(self, event: Event) -> tuple[int, ...]:
        terms = msgspec.convert(event.args["terms"], Terms)
        return await self._nets(_job_of(event), terms.milestones)

    def _fold(self, event: Event, nets: Mapping[int, tuple[int, ...]]) -> None:
        if event.contract == "NodeRegistry":
            self.directory.fold(event.name, event.args)
        elif event.contract == "Clock" and event.name == "Extended":
            self.extension = int(str(event.args["extension"]))
        elif event.contract in _JOB_CONTRACTS:
            self._fold_job(event, nets)

    def _fold_job(self, event: Event, nets: Mapping[int, tuple[int, ...]]) -> None:
        self.moved = event.timestamp
        arguments = dict(event.args)
        if event.name == "JobOpened":
            arguments["nets"] = nets[_job_of(event)]
        fact = decode_event(event.name, arguments, event.timestamp - self.extension)
        if fact is None:
            return
        if isinstance(fact, JobOpened):
            self.jobs[fact.job] = open_job(fact)
            return
        state = self.jobs.get(fact.job)
        if state is None:
            raise ProtocolError(f"the ledger reports on job {fact.job}, which was never opened: events were missed")
        if isinstance(fact, RoundAnchored):
            self.anchors[(fact.job, fact.round, fact.anchor.attempt)] = event
        self.jobs[fact.job] = apply(state, fact)

    async def run(self) -> None:
        """Follow for ever; a chain that is down is asked again and again, nothing is lost meanwhile."""
        pause = _BREATH
        while True:
            try:
                if not await self.catch_up():
                    await asyncio.sleep(_BREATH)  # the head lies further on, but cannot be read yet
                pause = _BREATH
                if self._position is not None:
                    await self._cursor.wait(self._position, LOOK)
                continue
            except LedgerError as error:
                if self.healthy:
                    log.warning("chain unreachable", extra={"error": str(error)})
                self.healthy = False
                pause = min(pause * 2, _LAST_PAUSE)
            except (ProtocolError, FormatError, msgspec.ValidationError):
                # Events and state disagree: fold the whole history again rather than go on from a wrong state.
                log.exception("folding again")
                self._forget()
                pause = _LAST_PAUSE
            await asyncio.sleep(pause)

    async def change(self, timeout: float) -> None:
        """Return after the next block, or after `timeout` seconds."""
        news = self._changed
        with contextlib.suppress(TimeoutError):
            # `asyncio.wait_for` would swallow a cancellation that comes together with the news.
            async with asyncio.timeout(timeout):
                await news.wait()

    async def until(self, job: int, holds: Callable[[JobState], bool], timeout: float) -> JobState | None:
        """The job once something holds of it; as it is (None: unknown) when `timeout` seconds have passed before."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            state = self.jobs.get(job)
            left = deadline - asyncio.get_running_loop().time()
            if (state is not None and holds(state)) or left <= 0:
                return state
            await self.change(left)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Follower]:
        """Following until the block ends; a follower that fails ends the block too, for nobody may act on a state that stands still."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.run(), name="follower")
            try:
                yield self
            finally:
                task.cancel()

    def knows(self, key: Address) -> bool:
        """Whether a key belongs to a registered node or to the client of a job: who may talk to a node at all."""
        return key in self.directory or any(job.client == key for job in self.jobs.values())


def _job_of(event: Event) -> int:
    return int(str(event.args["job"]))
