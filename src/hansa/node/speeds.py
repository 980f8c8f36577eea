"""How fast this node's device trains each job, as the last round showed, and the training that a job's pace leaves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from hansa.core.errors import DataError
from hansa.learning.calls import Trained
from hansa.learning.pace import least, paced
from hansa.learning.strategies import AnyStrategy, Boosting
from hansa.rounds.spec import JobSpec

Train = Callable[[AnyStrategy], Awaitable[tuple[Trained, list[memoryview]]]]
"""One training of the round with this strategy."""


class Speeds:
    """Rows a second by job; `timer` gives seconds. Nothing is remembered over a restart: the device may be another one."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._measured: dict[int, float] = {}

    async def trained(self, job: int, spec: JobSpec, rows: int, train: Train) -> list[memoryview]:
        """The answer's buffers of the job's training, cut to what this device does in the time that the job's pace gives it.

        Before the first round the least training is done once and thrown away, to measure it. DataError when the device is too slow.
        """
        strategy, pace = spec.strategy, spec.pace
        if pace is None or isinstance(strategy, Boosting):
            return (await train(strategy))[1]
        if job not in self._measured:
            await self._timed(job, replace(strategy, local=least(strategy.local, pace, rows)), rows, train)
        try:
            plan = paced(strategy.local, pace, rows, self._measured[job])
        except DataError:
            # Measured anew at the next try: the device may only have been busy.
            del self._measured[job]
            raise
        return await self._timed(job, replace(strategy, local=plan), rows, train)

    async def _timed(self, job: int, strategy: AnyStrategy, rows: int, train: Train) -> list[memoryview]:
        before = self._timer()
        answer, buffers = await train(strategy)
        seconds = max(self._timer() - before, 1e-9)
        self._measured[job] = answer.summary.steps * min(strategy.local.batch, rows) / seconds
        return buffers
