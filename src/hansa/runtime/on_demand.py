"""A pool that exists while there is work: its worker starts at the first call and ends after a while without one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from hansa.runtime.channel import Buffer
from hansa.runtime.workers import WorkerPool

IDLE = 3.0


class Workers(Protocol):
    """Something that runs calls in worker processes."""

    async def run(self, kind: str, header: bytes, buffers: Sequence[Buffer] = (), *, timeout: float) -> tuple[bytes, list[memoryview]]:
        """As `WorkerPool.run`."""
        ...

    async def close(self) -> None: ...


class OnDemandPool:
    """One worker at most, one call at a time. For rare work on a machine that should not pay for idle processes."""

    def __init__(self, module: str, device: str, *, idle: float = IDLE) -> None:
        """`module` and `device` as for `WorkerPool`; `idle` in seconds."""
        self._module, self._device, self._idle = module, device, idle
        self._lock = asyncio.Lock()
        self._pool: WorkerPool | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def processes(self) -> list[int]:
        """Process ids of the workers that are up."""
        return [] if self._pool is None else self._pool.processes

    async def run(self, kind: str, header: bytes, buffers: Sequence[Buffer] = (), *, timeout: float) -> tuple[bytes, list[memoryview]]:
        """As `WorkerPool.run`; the time to start a worker does not count against `timeout`."""
        async with self._lock:
            self._stay()
            if self._pool is None:
                pool = WorkerPool(self._module, 1, self._device)
                await pool.start()
                self._pool = pool
            try:
                return await self._pool.run(kind, header, buffers, timeout=timeout)
            finally:
                self._ending = asyncio.create_task(self._end_later())

    async def close(self) -> None:
        """End the worker now; a call under way fails with WorkerError."""
        self._stay()
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    def _stay(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    async def _end_later(self) -> None:
        await asyncio.sleep(self._idle)
        # Past this point nothing is awaited before the pool is taken: a call that comes now starts a new one.
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.shield(pool.close())
