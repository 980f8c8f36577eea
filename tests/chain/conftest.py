"""An embedded chain as a process of its own, to be killed and started again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from hansa.chain.embedded import Ready


class Supervisor:
    """`python -m hansa.chain.embedded`; after `start` it serves on the same port again."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home, self._options = home, options
        self.url = ""
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Ready:
        command = [sys.executable, "-m", "hansa.chain.embedded", "--home", str(self.home), "--port", str(self._port), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(self._process.communicate()[1])
        ready = msgspec.json.decode(line, type=Ready)
        self.url, self._port = ready.url, int(ready.url.rpartition(":")[2])
        return ready

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def node(self) -> psutil.Process:
        return psutil.Process(msgspec.json.decode((self.home / "anvil.json").read_bytes())["pid"])

    def kill(self) -> None:
        """`kill -9`, the node's death not waited for."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=30)
        return self._process.returncode

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Callable[..., Supervisor]]:
    made: list[Supervisor] = []

    def make(*options: str) -> Supervisor:
        made.append(Supervisor(tmp_path / f"chain{len(made)}", *options))
        return made[-1]

    yield make
    for one in made:
        one.end()
