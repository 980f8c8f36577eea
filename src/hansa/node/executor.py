"""Carries out duties: each at most once at a time, again after a pause when it failed, never again once the state stops naming it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from hansa.rounds.duties import Duty

FIRST_PAUSE = 0.2
LAST_PAUSE = 3.0


class Executor:
    """`perform(duty)` runs as a task; `settled` is called after each end so that the state is looked at again.

    `now` times the pauses: not the wall clock, which may be set back and would then silence a node.
    """

    def __init__(
        self,
        perform: Callable[[Duty], Awaitable[None]],
        settled: Callable[[], None],
        failed: Callable[[Duty, Exception, int], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._perform = perform
        self._settled = settled
        self._failed = failed
        self._running: dict[str, asyncio.Task[None]] = {}
        self._again: dict[str, tuple[float, int]] = {}
        self._now = now

    def carry_out(self, due: Iterable[Duty]) -> None:
        """Start what is due and not under way; duties no longer due are left to end by themselves (they are idempotent)."""
        named = {duty.name: duty for duty in due}
        for name in [name for name in self._again if name not in named]:
            del self._again[name]
        for name, duty in named.items():
            ready, _ = self._again.get(name, (0.0, 0))
            if name not in self._running and self._now() >= ready:
                self._running[name] = asyncio.create_task(self._run(name, duty), name=name)

    @property
    def busy(self) -> int:
        """Duties under way."""
        return len(self._running)

    async def _run(self, name: str, duty: Duty) -> None:
        try:
            await self._perform(duty)
            # A duty that succeeded but is still named (the ledger has not told us yet) is not repeated at once.
            self._again[name] = (self._now() + LAST_PAUSE, 0)
        except Exception as error:  # a bug in one duty must not end the others; it is logged with its trace and tried again
            tries = self._again.get(name, (0.0, 0))[1] + 1
            self._again[name] = (self._now() + min(FIRST_PAUSE * 2 ** min(tries - 1, 16), LAST_PAUSE), tries)
            self._failed(duty, error, tries)
        finally:
            del self._running[name]
            self._settled()

    async def close(self) -> None:
        """Cancel what runs; the journal and the ledger's intents make a later restart go on from there."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
