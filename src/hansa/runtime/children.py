"""Supervised child processes: a whole network on one machine, each member a named process with a log file."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import psutil  # type: ignore[import-untyped]

from hansa.core.errors import WorkerError
from hansa.runtime.lifeline import launcher

_POLL = 0.02
_RAPID_SECONDS = 5.0
_RAPID_DEATHS = 5
"""A child that dies this many times in a row within `_RAPID_SECONDS` of its start stays down."""

_log = logging.getLogger(__name__)


class Child:
    """One named process: its log, the text that told it was ready, how often it was restarted."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.command = tuple(command)
        self.log = log
        self.ready = ""
        self.restarts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._log_start = 0
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Process id of the present incarnation; WorkerError when it is not running."""
        if self._process is None or self._process.returncode is not None:
            raise WorkerError(f"{self.name} is not running; its log is {self.log}")
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def output(self) -> str:
        """What the present incarnation has written so far."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def _end_of_log(self) -> str:
        lines = self.output().strip().splitlines()
        return f"its log {self.log} ends: {lines[-1]}" if lines else f"its log {self.log} is empty"


Ready = Callable[[Child], Awaitable[str | None]]
"""Asks a starting child whether it is ready: a text (an address, a line) once it is, None before."""


def line(pattern: str) -> Ready:
    """Ready once a whole line of the log matches the regular expression; the text is its first group, or the line."""
    compiled = re.compile(rf"^.*{pattern}.*\n", re.MULTILINE)

    async def look(child: Child) -> str | None:
        found = compiled.search(child.output())
        return None if found is None else (found[1] if compiled.groups else found[0].rstrip("\n"))

    return look


def health(url: str) -> Ready:
    """Ready once a GET of `url` answers 200; a development check, so any certificate will do."""

    async def look(child: Child) -> str | None:
        try:
            timeout = aiohttp.ClientTimeout(total=2)
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, ssl=False) as response:
                return url if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    return look


class Children:
    """The processes of one network; all end with this one, however it ends. `logs` holds one file per name."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, Child] = {}
        logs.mkdir(parents=True, exist_ok=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop_all()

    def __getitem__(self, name: str) -> Child:
        """The child of that name; WorkerError when there is none."""
        if name not in self._children:
            raise WorkerError(f"there is no child named {name!r}; there are {sorted(self._children)}")
        return self._children[name]

    async def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        ready: Ready | None = None,
        timeout: float = 60.0,
        restart: bool = False,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> Child:
        """Start a child and wait until it is ready; WorkerError when it ends or `timeout` seconds pass before that.

        With `restart` it is started again whenever it ends by itself, until it dies again and again right after its start. `environment`
        is added to this process's own.
        """
        if name in self._children and self._children[name].alive:
            raise WorkerError(f"{name} is running already; stop it first")
        child = Child(name, command, self._logs / f"{name}.log")
        self._children[name] = child
        variables = {**os.environ, **(environment or {})}
        await self._spawn(child, variables, directory)
        try:
            await _until_ready(child, ready, timeout)
        except BaseException:
            await self.stop(name, grace=0.0)
            raise
        child._supervisor = asyncio.create_task(self._supervise(child, variables, directory, restart))
        return child

    async def stop(self, name: str, *, grace: float = 10.0) -> None:
        """SIGTERM, then SIGKILL for what is left of its process group after `grace` seconds; a stopped child is no error."""
        child = self[name]
        ended_before = child._supervisor is not None and child._supervisor.done()
        if child._supervisor is not None:
            child._supervisor.cancel()
            await asyncio.gather(child._supervisor, return_exceptions=True)
        process = child._process
        # The group of a child that ended long ago is gone too, and its number may be somebody else's by now.
        if process is None or ended_before:
            return
        if process.returncode is None and grace > 0:
            process.terminate()
            try:
                async with asyncio.timeout(grace):
                    await process.wait()
            except TimeoutError:
                _log.warning("child does not stop, killing it", extra={"child": name})
        _kill_group(process.pid)
        await process.wait()

    async def stop_all(self, *, grace: float = 10.0) -> None:
        """Stop every child, all at once."""
        await asyncio.gather(*(self.stop(name, grace=grace) for name in self._children))

    async def kill(self, name: str) -> None:
        """`kill -9` of the child's own process, as a crash would; it is restarted if it was started so."""
        process = self[name]._process
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    def memory(self) -> int:
        """Proportional set size in bytes of this process and everything below it (shared pages are counted once in all)."""
        total = 0
        own = psutil.Process()
        for process in [own, *own.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue  # ended between the listing and the look
        return total

    async def _spawn(self, child: Child, variables: Mapping[str, str], directory: Path | None) -> None:
        with child.log.open("ab") as log:
            child._log_start = log.tell()
            try:
                # A session of its own: a signal to the terminal's group reaches the supervisor alone, which stops the rest in order.
                child._process = await asyncio.create_subprocess_exec(
                    *launcher(child.command),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=variables,
                    cwd=directory,
                    start_new_session=True,
                )
            except OSError as error:
                raise WorkerError(f"{child.name} cannot be started ({error}); check its command and folder") from error

    async def _supervise(self, child: Child, variables: Mapping[str, str], directory: Path | None, restart: bool) -> None:
        loop = asyncio.get_running_loop()
        rapid = 0
        while child._process is not None:
            began = loop.time()
            code = await child._process.wait()
            _kill_group(child._process.pid)
            if not restart:
                return
            rapid = rapid + 1 if loop.time() - began < _RAPID_SECONDS else 0
            if rapid >= _RAPID_DEATHS:
                _log.error("child keeps dying, it stays down", extra={"child": child.name, "log": str(child.log)})
                return
            _log.warning("child ended, starting it again", extra={"child": child.name, "code": code})
            await asyncio.sleep(min(0.05 * 2**rapid, 2.0))
            await self._spawn(child, variables, directory)
            child.restarts += 1


async def _until_ready(child: Child, ready: Ready | None, timeout: float) -> None:
    if ready is None:
        return
    try:
        async with asyncio.timeout(timeout):
            while (text := await ready(child)) is None:
                if not child.alive:
                    raise WorkerError(f"{child.name} ended before it was ready; {child._end_of_log()}")
                await asyncio.sleep(_POLL)
    except TimeoutError as error:
        raise WorkerError(f"{child.name} was not ready within {timeout:g} s; {child._end_of_log()}") from error
    child.ready = text


def _kill_group(leader: int) -> None:
    """End what the child left behind; its session makes the group its own."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
