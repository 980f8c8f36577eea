"""Workers that come when called and go when idle."""

from __future__ import annotations

import asyncio

import pytest

from hansa.core.errors import WorkerError
from hansa.runtime.on_demand import OnDemandPool

MODULE = "tests.runtime.handlers"


async def _gone(pool: OnDemandPool) -> bool:
    for _ in range(500):
        if not pool.processes:
            return True
        await asyncio.sleep(0.01)
    return False


def test_a_worker_starts_with_the_first_call_and_ends_when_idle() -> None:
    async def story() -> None:
        pool = OnDemandPool(MODULE, "cpu", idle=0.05)
        assert pool.processes == []
        first = await pool.run("echo", b"one", [b"x"], timeout=30)
        assert first[0] == b"one" and len(pool.processes) == 1
        assert await _gone(pool)
        assert (await pool.run("echo", b"two", timeout=30))[0] == b"two"
        await pool.close()

    asyncio.run(story())


def test_calls_close_together_share_one_worker() -> None:
    async def story() -> None:
        pool = OnDemandPool(MODULE, "cpu", idle=30)
        await asyncio.gather(*(pool.run("echo", b"same", timeout=30) for _ in range(4)))
        assert len(pool.processes) == 1
        await pool.close()
        assert pool.processes == []

    asyncio.run(story())


def test_a_module_that_does_not_exist_is_an_error_and_leaves_nothing() -> None:
    async def story() -> None:
        pool = OnDemandPool("tests.runtime.no_such_module", "cpu")
        with pytest.raises(WorkerError):
            await pool.run("echo", b"", timeout=30)
        assert pool.processes == []
        await pool.close()

    asyncio.run(story())
