"""The ledger followed live: events folded into one JobState per job, redone from the fork when the chain reorganises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from hansa.core.errors import LedgerError, ProtocolError
from hansa.rounds.events import JobOpened, LedgerEvent
from hansa.rounds.job import JobState, apply, open_job


class Step(Protocol):
    """One stretch of news: facts in order; `rewound` when everything before must be forgotten first."""

    rewound: bool
    facts: list[LedgerEvent]
    block: int


class Source(Protocol):
    """Where news come from: `wait` returns when there may be some, `read` takes what there is."""

    async def wait(self, timeout: float) -> None: ...

    async def read(self) -> list[Step]: ...


class Follower:
    """Keeps `jobs` up to date and wakes whoever waits for a change."""

    def __init__(self, source: Source, on_error: Callable[[Exception], None]) -> None:
        self._source = source
        self._on_error = on_error
        self._changed = asyncio.Condition()
        self.jobs: dict[int, JobState] = {}
        self.block = -1
        self.healthy = False

    def fold(self, step: Step) -> bool:
        """Apply one stretch; True when any job changed."""
        if step.rewound:
            self.jobs.clear()
        for fact in step.facts:
            if isinstance(fact, JobOpened):
                self.jobs[fact.job] = open_job(fact)
            elif fact.job in self.jobs:
                self.jobs[fact.job] = apply(self.jobs[fact.job], fact)
            else:
                raise ProtocolError(f"the ledger reports on job {fact.job}, which was never opened; reconcile from state")
        self.block = step.block
        return step.rewound or bool(step.facts)

    async def catch_up(self) -> bool:
        """Read and fold what is there; True when any job changed."""
        changed = False
        for step in await self._source.read():
            changed |= self.fold(step)
        self.healthy = True
        if changed:
            async with self._changed:
                self._changed.notify_all()
        return changed

    async def run(self) -> None:
        """Follow for ever; a chain that is down is asked again and again, nothing is lost meanwhile."""
        pause = 0.05
        while True:
            try:
                await self.catch_up()
                await self._source.wait(1.0)
                pause = 0.05
            except LedgerError as error:
                self.healthy = False
                self._on_error(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    async def change(self, timeout: float) -> None:
        """Return after the next change, or after `timeout` seconds."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait(), timeout)
            except TimeoutError:
                return

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Follower]:
        task = asyncio.create_task(self.run(), name="follower")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
