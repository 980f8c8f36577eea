"""Warm workers: calls and their failures over real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable

import psutil
import pytest

from hansa.core.errors import DataError, FormatError, WorkerError
from hansa.runtime import channel
from hansa.runtime.workers import WorkerPool

MODULE = "tests.runtime.handlers"


def with_pool(test: Callable[[WorkerPool], Awaitable[None]], count: int = 1) -> None:
    async def main() -> None:
        async with WorkerPool(MODULE, count, "cpu") as pool:
            await test(pool)
        assert pool.processes == []

    asyncio.run(main())


def test_header_and_buffers_come_back_unchanged() -> None:
    async def test(pool: WorkerPool) -> None:
        large = os.urandom(3 << 20)
        header, buffers = await pool.run("echo", b"\x00header", [b"", large, memoryview(large)[5:1000]], timeout=30)
        assert header == b"\x00header"
        assert [bytes(buffer) for buffer in buffers] == [b"", large, large[5:1000]]

    with_pool(test)


def test_handlers_may_write_into_what_they_are_given() -> None:
    async def test(pool: WorkerPool) -> None:
        given = bytes([1, 2, 200])
        _, buffers = await pool.run("double", b"", [given], timeout=30)
        assert bytes(buffers[0]) == bytes([2, 4, 144]) and given == bytes([1, 2, 200])

    with_pool(test)


def test_setup_is_told_device_and_threads_before_the_module_is_imported() -> None:
    async def main() -> None:
        async with WorkerPool(MODULE, 1, "cpu", threads=3) as pool:
            header, _ = await pool.run("settings", b"", timeout=30)
            assert header == repr([("device", "cpu"), ("omp", "3"), ("threads", "3")]).encode()

    asyncio.run(main())


def test_calls_wait_for_a_free_worker_and_use_all() -> None:
    async def test(pool: WorkerPool) -> None:
        answers = await asyncio.gather(*(pool.run("echo", str(n).encode(), timeout=30) for n in range(40)))
        assert [header for header, _ in answers] == [str(n).encode() for n in range(40)]
        assert len(pool.processes) == 2

    with_pool(test, count=2)


def test_an_error_of_the_project_arrives_as_itself_and_the_worker_stays() -> None:
    async def test(pool: WorkerPool) -> None:
        before = pool.processes
        with pytest.raises(DataError, match="column 'age' is missing; add it"):
            await pool.run("refuse", b"", timeout=30)
        assert pool.processes == before
        assert (await pool.run("echo", b"x", timeout=30))[0] == b"x"

    with_pool(test)


@pytest.mark.parametrize(("kind", "sentence"), [("fail", "ZeroDivisionError: seven by nothing"), ("nothing", "no handler for 'nothing'")])
def test_other_errors_are_worker_errors(kind: str, sentence: str) -> None:
    async def test(pool: WorkerPool) -> None:
        with pytest.raises(WorkerError, match=sentence):
            await pool.run(kind, b"", timeout=30)
        assert (await pool.run("echo", b"x", timeout=30))[0] == b"x"

    with_pool(test)


def test_a_worker_that_dies_is_replaced() -> None:
    async def test(pool: WorkerPool) -> None:
        before = pool.processes
        with pytest.raises(WorkerError, match="died during 'die'"):
            await pool.run("die", b"", timeout=30)
        assert (await pool.run("echo", b"again", timeout=30))[0] == b"again"
        assert pool.processes and pool.processes != before

    with_pool(test)


def test_a_worker_killed_while_idle_is_replaced_within_one_retry() -> None:
    async def test(pool: WorkerPool) -> None:
        os.kill(pool.processes[0], signal.SIGKILL)
        try:
            header, _ = await pool.run("echo", b"x", timeout=30)
        except WorkerError:
            header, _ = await pool.run("echo", b"x", timeout=30)
        assert header == b"x"

    with_pool(test)


def test_a_worker_that_hangs_is_ended_and_replaced() -> None:
    async def test(pool: WorkerPool) -> None:
        (before,) = pool.processes
        with pytest.raises(WorkerError, match=r"did not finish 'hang' within 0\.05 s"):
            await pool.run("hang", b"", timeout=0.05)
        assert not psutil.pid_exists(before)
        assert (await pool.run("echo", b"again", timeout=30))[0] == b"again"

    with_pool(test)


def test_a_cancelled_call_ends_its_worker_and_the_pool_goes_on() -> None:
    async def test(pool: WorkerPool) -> None:
        (before,) = pool.processes
        call = asyncio.create_task(pool.run("hang", b"", timeout=30))
        waiting = asyncio.create_task(pool.run("echo", b"next", timeout=30))
        while not pool._busy:
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await waiting)[0] == b"next"
        assert not psutil.pid_exists(before)

    with_pool(test)


def test_closing_fails_calls_under_way_and_those_that_wait() -> None:
    async def main() -> None:
        pool = WorkerPool(MODULE, 1, "cpu")
        await pool.start()
        calls = [asyncio.create_task(pool.run("hang", b"", timeout=60)) for _ in range(3)]
        while not pool._busy:
            await asyncio.sleep(0)
        await pool.close()
        for result in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(result, WorkerError), result
        with pytest.raises(WorkerError, match="closed"):
            await pool.run("echo", b"", timeout=1)

    asyncio.run(main())


def test_prints_and_writes_of_handlers_do_not_disturb_the_channel() -> None:
    async def test(pool: WorkerPool) -> None:
        assert (await pool.run("chatter", b"1", timeout=30))[0] == b"1"
        assert (await pool.run("echo", b"2", timeout=30))[0] == b"2"

    with_pool(test)


def test_a_module_that_cannot_be_imported_is_one_sentence() -> None:
    async def main() -> None:
        with pytest.raises(WorkerError, match="No module named 'tests.runtime.nowhere'"):
            await WorkerPool("tests.runtime.nowhere", 2, "cpu").start()

    asyncio.run(main())


def test_too_many_buffers_are_refused_before_anything_is_sent() -> None:
    async def test(pool: WorkerPool) -> None:
        with pytest.raises(FormatError, match="over the limits"):
            await pool.run("echo", b"", [b""] * (channel.MAX_BUFFERS + 1), timeout=30)
        assert (await pool.run("echo", b"x", timeout=30))[0] == b"x"

    with_pool(test)


_PARENT = """
import asyncio
from hansa.runtime.workers import WorkerPool

async def main():
    async with WorkerPool("tests.runtime.handlers", 2, "cpu") as pool:
        print(*pool.processes, flush=True)
        await pool.run("hang", b"", timeout=600)

asyncio.run(main())
"""


def test_kill_9_of_the_parent_ends_idle_and_busy_workers() -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    gone, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
