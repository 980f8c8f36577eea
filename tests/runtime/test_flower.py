"""A Flower app's process under its parent: what it trains, and all the ways in which it fails."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from hansa.core.errors import ConfigError, FormatError, HansaError, WorkerError
from hansa.runtime.flower import FlowerPool
from tests.flower.python import OTHERS, flower_python

ARRAYS = [["w", [2, 3]], ["b", [2]]]
VECTOR = np.arange(8, dtype="<f4")


def call(do: str, **changes: Any) -> bytes:
    made = {"job": 1, "round": 3, "node": 9, "arrays": ARRAYS, "named": False, "config": {"do": do}, "node_config": {}, "run_config": {}}
    return json.dumps(made | changes).encode()


class Ask:
    """Calls of one warm process that all tests of this file share."""

    def __init__(self, runner: asyncio.Runner, pool: FlowerPool) -> None:
        self.runner, self.pool = runner, pool

    def __call__(self, do: str, timeout: float = 30.0, **changes: Any) -> tuple[Any, np.ndarray]:
        header, buffers = self.runner.run(self.pool.run("train", call(do, **changes), [VECTOR.tobytes()], timeout=timeout))
        assert len(buffers) == 1
        return json.loads(header), np.frombuffer(buffers[0], "<f4")


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    pool = FlowerPool(flower_python(), "moods:app", OTHERS)
    with asyncio.Runner() as runner:
        runner.run(pool.start())
        yield Ask(runner, pool)
        runner.run(pool.close())


def start(python: Path, app: str = "moods:app", folder: Path = OTHERS) -> None:
    async def main() -> None:
        async with FlowerPool(python, app, folder):
            pass

    asyncio.run(main())


def test_an_answer_comes_back_in_the_order_of_the_question(ask: Ask) -> None:
    header, values = ask("double")
    assert header == {"examples": 24} and values.tolist() == (VECTOR * 2).tolist()
    assert ask("backwards")[1].tolist() == (VECTOR + 1).tolist()


def test_names_that_nobody_declared_are_matched_by_their_place(ask: Ask) -> None:
    assert ask("other names")[1].tolist() == VECTOR.tolist()


def test_a_context_is_kept_for_a_job_and_not_shared_with_another(ask: Ask) -> None:
    assert [ask("count", job=job)[1][0] for job in (5, 5, 6, 5)] == [1, 2, 1, 3]


def test_it_is_not_hansas_python_and_tells_nobody(ask: Ask) -> None:
    telemetry, hansa, same_ids, in_its_folder = ask("look")[1][:4]
    assert (telemetry, hansa, same_ids, in_its_folder) == (0, 0, 1, 1)


@pytest.mark.parametrize(
    ("do", "kind", "sentence"),
    [
        ("raise", WorkerError, "the Flower app failed in round 3 of job 1: ZeroDivisionError: seven by nothing; see its messages above"),
        ("exit", WorkerError, "the Flower app failed in round 3 of job 1: SystemExit: enough"),
        ("error", WorkerError, "answered with an error: no rows today"),
        ("none", ConfigError, "answered with NoneType without content; it must return a Message"),
        ("two", ConfigError, "answered with 2 array records; it must return one"),
        ("fewer", ConfigError, r"other arrays than it got: \[\] for \['b'\]"),
        ("shape", ConfigError, r"float32 \(6,\) for w; the job's architecture has float32 \(2, 3\)"),
        ("integers", ConfigError, r"int64 \(2, 3\) for w"),
    ],
)
def test_each_way_to_fail_is_one_sentence_and_the_process_stays(ask: Ask, do: str, kind: type[HansaError], sentence: str) -> None:
    before = ask.pool.processes
    with pytest.raises(kind, match=sentence):
        ask(do)
    assert ask("double")[1].tolist() == (VECTOR * 2).tolist() and ask.pool.processes == before


def test_declared_names_must_come_back(ask: Ask) -> None:
    with pytest.raises(ConfigError, match=r"other arrays than it got: \['B', 'W'\] for \['b', 'w'\]"):
        ask("other names", named=True)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"arrays": []}, "1 to 4096 arrays"),
        ({"arrays": [["w", [2]]] * 2}, "names of their own"),
        ({"arrays": [["w", [9]]]}, "8 values came for arrays of 9"),
    ],
)
def test_a_call_that_does_not_fit_its_buffer_is_refused(ask: Ask, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        ask("double", **changes)


def test_it_trains_and_nothing_else(ask: Ask) -> None:
    with pytest.raises(WorkerError, match="asked to train and nothing else, not to 'evaluate'"):
        ask.runner.run(ask.pool.run("evaluate", b"", timeout=30))


def test_an_app_that_hangs_is_ended_with_all_it_started_and_replaced(ask: Ask, tmp_path: Path) -> None:
    (before,) = ask.pool.processes
    note = tmp_path / "note"
    with pytest.raises(WorkerError, match=r"did not finish 'train' within 1 s and was ended"):
        ask("hang", timeout=1.0, node_config={"note": str(note)}, job=77)
    assert not psutil.pid_exists(before)
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in [int(note.read_text())] if psutil.pid_exists(pid)], timeout=10)
    assert not alive
    assert ask("double")[1].tolist() == (VECTOR * 2).tolist()


def test_an_app_that_dies_is_replaced(ask: Ask) -> None:
    with pytest.raises(WorkerError, match="died during 'train'"):
        ask("die")
    assert ask("double")[1].tolist() == (VECTOR * 2).tolist()


@pytest.mark.parametrize(
    ("app", "sentence"),
    [
        ("nowhere:app", "nowhere:app in .* does not load: ModuleNotFoundError: No module named 'nowhere'"),
        ("moods:nothing", "does not load: AttributeError"),
        ("moods:no_app", "is no ClientApp but a str"),
    ],
)
def test_an_app_that_does_not_load_is_one_sentence(app: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        start(flower_python(), app)


def bare(folder: Path, version: str = "") -> Path:
    """A Python of its own that has nothing but, perhaps, the record of a flwr."""
    venv.create(folder, symlinks=True)
    if version:
        (found,) = folder.glob("lib/python*/site-packages")
        (found / f"flwr-{version}.dist-info").mkdir()
        (found / f"flwr-{version}.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: flwr\nVersion: {version}\n")
    return folder / "bin" / "python"


@pytest.mark.parametrize(
    ("version", "sentence"),
    [("", r"has no flwr; install flwr==1\.41\.0 there"), ("1.42.0", r"has flwr 1\.42\.0, but the adapter works with 1\.41\.0 alone")],
)
def test_another_flwr_or_none_is_refused(tmp_path: Path, version: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        start(bare(tmp_path / "env", version))


def test_a_missing_python_or_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no Python at .*nowhere/python; name one that has flwr in \[flower\] python"):
        start(tmp_path / "nowhere" / "python")
    (tmp_path / "python").write_text("not executable")
    with pytest.raises(ConfigError, match="no Python at"):
        start(tmp_path / "python")
    with pytest.raises(ConfigError, match=r"no folder .*nowhere; name the Flower app's"):
        start(Path(sys.executable), folder=tmp_path / "nowhere")


def test_a_program_that_is_no_python_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="a worker for the Flower app moods:app did not start"):
        start(Path("/bin/false"))


_PARENT = """
import asyncio, sys
from pathlib import Path
from hansa.runtime.flower import FlowerPool

async def main():
    async with FlowerPool(Path(sys.argv[1]), "moods:app", Path(sys.argv[2])) as pool:
        print(*pool.processes, flush=True)
        await pool.run("train", sys.argv[3].encode(), [bytes(32)], timeout=600)

asyncio.run(main())
"""


def test_kill_9_of_the_node_ends_a_busy_app(tmp_path: Path) -> None:
    note = tmp_path / "note"
    asked = call("sleep", node_config={"note": str(note)}).decode()
    command = [sys.executable, "-c", _PARENT, str(flower_python()), str(OTHERS), asked]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    apps = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(apps) == 1
    until = time.monotonic() + 30
    while not note.exists():
        assert time.monotonic() < until, "the app has not begun to train"
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    assert parent.stdout.read() == "", "what an app prints is not the node's output"
    parent.stdout.close()
    _, alive = psutil.wait_procs(apps, timeout=30)
    assert not alive
