"""Supervised children: real processes that get ready, crash, are restarted and end with their parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from hansa.core.errors import WorkerError
from hansa.runtime.children import Child, Children, health, line

PYTHON = [sys.executable, "-u", "-c"]
WAITS = "import signal; print('listening on 4242'); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('listening'); [signal.pause() for _ in range(1000)]"
POLITE = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(0))); print('listening'); signal.pause()"
BREEDS = """
import signal, subprocess, sys
print("child", subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]).pid)
signal.pause()
"""
SERVES = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    count = 0
    def do_GET(self):
        Handler.count += 1
        self.send_response(200 if Handler.count > 2 else 503)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print("listening on", server.server_port)
server.serve_forever()
"""


def supervise(test: Callable[[Children], Awaitable[None]], tmp_path: Path) -> None:
    others = set(psutil.Process().children())  # other tests' fixtures may live as long as the whole run

    async def main() -> None:
        async with asyncio.timeout(60), Children(tmp_path / "logs") as children:
            await test(children)
        assert set(psutil.Process().children()) <= others

    asyncio.run(main())


async def until(happened: Callable[[], bool]) -> None:
    while not happened():
        await asyncio.sleep(0.005)


def test_a_child_is_ready_when_its_log_says_so(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        child = await children.start("node", [*PYTHON, WAITS], ready=line(r"listening on (\d+)"))
        assert child.ready == "4242" and child.alive and child.restarts == 0
        assert (tmp_path / "logs" / "node.log").read_text() == "listening on 4242\n" == child.output()
        await children.stop("node")
        assert not child.alive

    supervise(test, tmp_path)


def test_an_earlier_run_in_the_same_log_does_not_count_as_ready(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        await children.start("node", [*PYTHON, WAITS], ready=line("listening"))
        await children.stop("node")
        with pytest.raises(WorkerError, match="ended before it was ready"):
            await children.start("node", [*PYTHON, "raise SystemExit(0)"], ready=line("listening"))

    supervise(test, tmp_path)


def test_a_child_is_ready_when_its_address_answers_200(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        async def ready(child: Child) -> str | None:
            port = await line(r"listening on (\d+)")(child)
            return None if port is None else await health(f"http://127.0.0.1:{port}/")(child)

        child = await children.start("web", [*PYTHON, SERVES], ready=ready)
        assert child.ready.startswith("http://127.0.0.1:")
        await children.stop("web")
        assert await health(child.ready)(child) is None

    supervise(test, tmp_path)


def test_a_child_that_ends_too_early_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        with pytest.raises(WorkerError, match="node ended before it was ready; its log .*node.log ends: no such flag$"):
            await children.start("node", [*PYTHON, "raise SystemExit('no such flag')"], ready=line("listening"))
        assert not children["node"].alive

    supervise(test, tmp_path)


def test_a_child_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        with pytest.raises(WorkerError, match=r"node was not ready within 0\.2 s"):
            await children.start("node", [*PYTHON, WAITS], ready=line("something else"), timeout=0.2)
        assert not children["node"].alive

    supervise(test, tmp_path)


def test_a_command_that_does_not_exist_is_told(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        with pytest.raises(WorkerError, match="cannot run /nowhere/program: No such file"):
            await children.start("node", ["/nowhere/program"], ready=line("listening"))
        with pytest.raises(WorkerError, match="check its command and folder"):
            await children.start("node", [*PYTHON, WAITS], directory=tmp_path / "nowhere")

    supervise(test, tmp_path)


def test_environment_and_folder_reach_the_child(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        program = "import os; print('got', os.environ['HANSA_TEST'], os.getcwd(), bool(os.environ.get('PATH')))"
        child = await children.start("node", [*PYTHON, program], ready=line("got"), environment={"HANSA_TEST": "x"}, directory=tmp_path)
        assert child.ready == f"got x {tmp_path} True"

    supervise(test, tmp_path)


def test_stop_asks_first(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        child = await children.start("polite", [*PYTHON, POLITE], ready=line("listening"))
        await children.stop("polite")
        assert child.output() == "listening\nbye\n"
        await children.stop("polite")

    supervise(test, tmp_path)


def test_stop_kills_what_does_not_listen(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        child = await children.start("stubborn", [*PYTHON, STUBBORN], ready=line("listening"))
        await children.stop("stubborn", grace=0.05)
        assert not child.alive

    supervise(test, tmp_path)


def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        for way in (children.stop, children.kill):
            child = await children.start("parent", [*PYTHON, BREEDS], ready=line(r"child (\d+)"))
            grandchild = psutil.Process(int(child.ready))
            await way("parent")
            await until(lambda process=grandchild: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)

    supervise(test, tmp_path)


def test_kill_9_and_restart(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        child = await children.start("node", [*PYTHON, WAITS], ready=line("listening"), restart=True)
        first = child.pid
        await children.kill("node")
        await until(lambda: child.restarts == 1 and child.alive)
        assert child.pid != first
        await until(lambda: "listening" in child.output())
        await children.stop("node")
        assert not child.alive and child.restarts == 1

    supervise(test, tmp_path)


def test_kill_9_without_restart_stays_down(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        child = await children.start("node", [*PYTHON, WAITS], ready=line("listening"))
        await children.kill("node")
        await asyncio.gather(*[child._supervisor] if child._supervisor else [])
        assert not child.alive and child.restarts == 0
        with pytest.raises(WorkerError, match="node is not running"):
            child.pid  # noqa: B018

    supervise(test, tmp_path)


def test_a_child_that_keeps_dying_is_left_alone(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        child = await children.start("node", [*PYTHON, "print('listening')"], ready=line("listening"), restart=True)
        assert child._supervisor is not None
        await child._supervisor
        assert child.restarts == 4 and not child.alive

    supervise(test, tmp_path)


def test_names_are_unique_while_running_and_known(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        await children.start("node", [*PYTHON, WAITS], ready=line("listening"))
        with pytest.raises(WorkerError, match="running already"):
            await children.start("node", [*PYTHON, WAITS])
        with pytest.raises(WorkerError, match=r"no child named 'other'; there are \['node'\]"):
            await children.kill("other")

    supervise(test, tmp_path)


def test_memory_counts_the_whole_tree(tmp_path: Path) -> None:
    async def test(children: Children) -> None:
        before = children.memory()
        program = "data = bytearray(b'x') * (30 << 20); print('listening'); import signal; signal.pause()"
        await children.start("big", [*PYTHON, program], ready=line("listening"))
        assert children.memory() - before > 30 << 20
        assert before > 1 << 20

    supervise(test, tmp_path)


_PARENT = """
import asyncio, os, sys
from pathlib import Path
from hansa.runtime.children import Children, line

async def main():
    async with Children(Path(sys.argv[1])) as children:
        child = await children.start("node", [sys.executable, "-u", "-c", sys.argv[2]], ready=line("listening"), restart=True)
        print(child.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, str(tmp_path), STUBBORN], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs([child], timeout=30)
    assert not alive
