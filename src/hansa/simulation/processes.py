"""Clients in worker processes on this machine, one thread each, which map one copy of the rows and sum up before they answer."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hansa.runtime.workers import WorkerPool
from hansa.simulation.messages import merge, pack_call, shares, write_shop
from hansa.simulation.work import Call, Outcome, Shop

PATIENCE = 24 * 3600.0
"""Seconds that one part of a round may take."""


class Processes:
    """`count` workers that train as `within` says: sequential, to the same bits as in one process, or vectorised.

    The pool is of the kind that nodes use; WorkerError when a process cannot be started or dies in the middle of a part.
    """

    name = "processes"

    def __init__(self, shop: Shop, count: int, within: str = "sequential") -> None:
        self._shop, self._count, self._within = shop, count, within
        self._folder = tempfile.TemporaryDirectory(prefix="hansa-simulation-")
        self._runner = asyncio.Runner()
        self._pool = WorkerPool("hansa.simulation.process", count, shop.population.device.type)
        try:
            write_shop(shop, Path(self._folder.name))
            self._runner.run(self._pool.start())
        except BaseException:
            self.close()
            raise

    def run(self, call: Call) -> Outcome:
        outcome = Outcome(self._shop, call)
        parts = shares(self._shop, call, self._count)
        self._runner.run(self._parts(call, parts, outcome))
        return outcome

    def close(self) -> None:
        self._runner.run(self._pool.close())
        self._runner.close()
        self._folder.cleanup()

    async def _parts(self, call: Call, parts: list[list[int]], outcome: Outcome) -> None:
        answers = await asyncio.gather(*(self._part(call, part) for part in parts), return_exceptions=True)
        for part, answer in zip(parts, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            merge(outcome, part, *answer)

    async def _part(self, call: Call, part: list[int]) -> tuple[bytes, list[memoryview]]:
        header, buffers = pack_call(call, Path(self._folder.name), self._within, part)
        return await self._pool.run("part", header, buffers, timeout=PATIENCE)
