"""One event loop and one pool of warm workers for all tests of this folder: torch is loaded once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from hansa.runtime.workers import WorkerPool
from tests.node.world import NoPool, SharedPool, World, open_world

Play = Callable[[World, SharedPool], Awaitable[None]]


class Hall:
    """Where scenarios are played: `play` opens an empty network in memory and runs one in it."""

    def __init__(self, runner: asyncio.Runner, folder: Path) -> None:
        self._runner, self._folder, self._worlds = runner, folder, 0
        self._pool: WorkerPool | None = None

    def play(self, scenario: Play, *, workers: bool = True) -> None:
        self._runner.run(self._play(scenario, workers))

    async def _play(self, scenario: Play, workers: bool) -> None:
        if workers and self._pool is None:
            self._pool = WorkerPool("hansa.learning.worker", 2, "cpu")
            await self._pool.start()
        self._worlds += 1
        async with open_world(self._folder / f"{self._worlds}") as world:
            await scenario(world, SharedPool(self._pool) if workers and self._pool is not None else NoPool())

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()


@pytest.fixture(scope="session")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    with asyncio.Runner() as runner:
        opened = Hall(runner, tmp_path_factory.mktemp("deployments"))
        yield opened
        runner.run(opened.close())
