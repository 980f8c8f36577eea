"""A pool of warm worker processes: training and inference run there, so the node's loop never blocks and never imports torch."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from hansa.core import errors
from hansa.core.errors import FormatError, HansaError, WorkerError
from hansa.runtime import channel
from hansa.runtime.worker import READY

START_SECONDS = 180.0
"""How long importing a module and setting up its device may take."""

_CLOSED = "the pool of workers is closed"
_SOCKET_BUFFER = 1 << 20


class _Worker:
    """One process and the channel to it."""

    def __init__(self, process: asyncio.subprocess.Process, connection: socket.socket) -> None:
        self.process = process
        self.connection = connection

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    async def kill(self) -> None:
        """End it, and with it what it started in its group."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()


async def _spawn(command: Sequence[str]) -> _Worker:
    ours, theirs = socket.socketpair()
    with theirs:
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        try:
            # A session of its own: Ctrl-C in a terminal reaches the node alone, which then ends its workers in order.
            process = await asyncio.create_subprocess_exec(*command, stdin=theirs.fileno(), start_new_session=True)
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise WorkerError(f"no worker process can be started ({error.strerror}); free some memory or processes") from error
            raise
    ours.setblocking(False)
    return _Worker(process, ours)


class WorkerPool:
    """`count` processes that have imported `module` and wait for calls; one that dies, hangs or talks nonsense is replaced.

    `async with WorkerPool("hansa.learning.worker", 2, "cpu") as pool: header, buffers = await pool.run("train", header, [vector], 60.0)`
    """

    def __init__(self, module: str, count: int, device: str, threads: int = 1) -> None:
        if count < 1 or threads < 1:
            raise ValueError("a pool needs at least one worker and each worker at least one thread")
        self._what = (module, device, threads)
        self._count = count
        self._idle: asyncio.Queue[asyncio.Task[_Worker] | None] = asyncio.Queue()
        self._starts: set[asyncio.Task[_Worker]] = set()
        self._workers: set[_Worker] = set()
        self._busy: set[_Worker] = set()
        self._closed = False

    def command(self) -> list[str]:
        """The command line of one worker, which finds its channel as standard input and is tied to this process."""
        module, device, threads = self._what
        command = [sys.executable, "-m", "hansa.runtime.worker", "--module", module, "--device", device]
        return [*command, "--threads", str(threads), "--parent", str(os.getpid())]

    async def start(self) -> None:
        """Start every worker and wait until all are warm; WorkerError, or the set-up's own error, when one fails, and none is left."""
        starting = [self._begin() for _ in range(self._count)]
        try:
            await asyncio.gather(*starting)
        except BaseException:
            await self.close()
            raise
        for task in starting:
            self._idle.put_nowait(task)

    async def close(self) -> None:
        """Kill the workers; calls under way fail with WorkerError."""
        self._closed = True
        for task in self._starts:
            task.cancel()
        await asyncio.gather(*self._starts, return_exceptions=True)
        for worker in list(self._workers):
            # A busy one's channel belongs to its call, which sees the end of the stream and closes it.
            await (worker.kill() if worker in self._busy else self._end(worker))
        self._wake_waiting()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    @property
    def processes(self) -> list[int]:
        """Process ids of the workers that are up or starting."""
        return sorted(worker.process.pid for worker in self._workers if worker.alive)

    async def run(
        self, kind: str, header: bytes, buffers: Sequence[channel.Buffer] = (), *, timeout: float
    ) -> tuple[bytes, list[memoryview]]:
        """Call the module's handler `kind` in the next free worker; `timeout` in seconds counts from then on.

        WorkerError when the worker dies, hangs, or its handler fails unexpectedly: the call may be tried again, once. A HansaError raised
        by the handler arrives as the same class, and trying again is of no use.
        """
        pieces = channel.pack(kind, header, buffers)
        task = await self._take()
        try:
            worker = await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise WorkerError(_CLOSED) from error
            self._idle.put_nowait(task)
            raise
        except HansaError:
            self._replace(task)
            raise
        self._busy.add(worker)
        try:
            async with asyncio.timeout(timeout):
                await channel.send_async(worker.connection, pieces)
                frame = await channel.receive_async(worker.connection)
        except BaseException as error:
            # Whatever happened, the worker may be in the middle of a frame: it cannot be used again.
            await self._retire(task, worker)
            if isinstance(error, TimeoutError):
                raise WorkerError(
                    f"the worker did not finish {kind!r} within {timeout:g} s and was ended; try again or allow more time"
                ) from error
            if isinstance(error, (EOFError, OSError, FormatError)):
                raise WorkerError(f"the worker died during {kind!r} ({error}); a new one is starting, try again") from error
            raise
        finally:
            self._busy.discard(worker)
        self._idle.put_nowait(task)
        if frame.head.error:
            raise _remote(kind, frame.head)
        return frame.head.header, frame.buffers

    def _begin(self) -> asyncio.Task[_Worker]:
        task = asyncio.create_task(self._start())
        self._starts.add(task)
        return task

    async def _start(self) -> _Worker:
        module = self._what[0]
        worker = await _spawn(self.command())
        self._workers.add(worker)
        try:
            async with asyncio.timeout(START_SECONDS):
                frame = await channel.receive_async(worker.connection)
        except (TimeoutError, EOFError, OSError, FormatError) as error:
            await self._end(worker)
            raise WorkerError(f"a worker for {module} did not start ({error or 'no answer'}); see its messages above") from error
        if frame.head.kind != READY or frame.head.error:
            await self._end(worker)
            raise _remote(f"setting up {module}", frame.head)
        return worker

    async def _end(self, worker: _Worker) -> None:
        await worker.kill()
        self._forget(worker)

    def _forget(self, worker: _Worker) -> None:
        worker.connection.close()
        self._workers.discard(worker)

    async def _take(self) -> asyncio.Task[_Worker]:
        """The next free worker's start, begun afresh when that worker died while it was idle."""
        if self._closed:
            raise WorkerError(_CLOSED)
        task = await self._idle.get()
        if task is None or self._closed:
            self._wake_waiting()
            raise WorkerError(_CLOSED)
        if task.done() and (task.exception() is not None or not task.result().alive):
            self._starts.discard(task)
            if task.exception() is None:
                self._forget(task.result())
            task = self._begin()
        return task

    def _wake_waiting(self) -> None:
        """Lets a call that waits for a worker see that the pool is closed; it wakes the next one in turn."""
        self._idle.put_nowait(None)

    def _replace(self, task: asyncio.Task[_Worker]) -> None:
        self._starts.discard(task)
        if not self._closed:
            self._idle.put_nowait(self._begin())

    async def _retire(self, task: asyncio.Task[_Worker], worker: _Worker) -> None:
        self._replace(task)
        await asyncio.shield(self._end(worker))


def _remote(kind: str, head: channel.Head) -> HansaError:
    """The handler's own error when it is one of the project's classes, else WorkerError."""
    sentence = head.header.decode(errors="replace")
    found = getattr(errors, head.error, None)
    if isinstance(found, type) and issubclass(found, HansaError):
        return found(sentence)
    return WorkerError(f"{kind!r} failed in the worker: {head.error}: {sentence}; see its messages above")
