"""One embedded chain with contracts and a client for all command-line tests, and the command line as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hansa.core.config import save
from hansa.learning.schema import Numeric, Schema
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategy import LocalTraining
from hansa.market.order import Held, Order, Seats, Times
from hansa.model.architectures import Linear, Objective
from hansa.node.config import ChainConfig, DataConfig, ListenConfig
from hansa.node.home import make_home
from hansa.simulation.network import Network
from hansa.simulation.plan import TOKEN, Member, NetworkPlan

CHAIN_ID = 31_399


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> object:
        return json.loads(self.out.strip().splitlines()[-1])

    def sentence(self, code: int, *words: str) -> None:
        """It ended with this code and exactly one line on stderr, which holds the words."""
        assert (self.code, len(self.err.strip().splitlines())) == (code, 1), self
        assert all(word in self.err for word in words), self.err


Hansa = Callable[..., Said]


@pytest.fixture(scope="session")
def zygote() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-m", "tests.cli.zygote"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.communicate()


@pytest.fixture
def hansa(zygote: subprocess.Popen[str], tmp_path: Path) -> Hansa:
    """Run `hansa ...` with a home of the test's own, unless another is given; `room` is how many bytes a file may have."""

    def run(*words: object, home: Path | None = None, room: int | None = None, **variables: str) -> Said:
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy") and name != "HANSA_DEBUG"}
        out, err = tmp_path / "stdout", tmp_path / "stderr"
        order = {
            "words": [str(word) for word in words], "room": room, "out": str(out), "err": str(err),
            "environment": {**kept, "HANSA_HOME": str(home or tmp_path / "home"), **variables},
        }  # fmt: skip
        assert zygote.stdin is not None and zygote.stdout is not None
        zygote.stdin.write(json.dumps(order) + "\n")
        zygote.stdin.flush()
        return Said(int(zygote.stdout.readline()), out.read_text(), err.read_text())

    return run


class Town(NamedTuple):
    """A chain that runs for the whole session: its address, deployment file, and the home of its client."""

    home: Path
    url: str
    deployment: Path


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    home = tmp_path_factory.mktemp("town")
    members = (Member("client", "client", tokens=1_000 * TOKEN), Member("poor", "client", tokens=1 * TOKEN))
    network = Network(NetworkPlan(home, members, chain_id=CHAIN_ID))
    ready, end = threading.Event(), threading.Event()
    failure: list[BaseException] = []

    async def hold() -> None:
        try:
            async with network:
                ready.set()
                await asyncio.to_thread(end.wait)
        except BaseException as error:
            failure.append(error)
            ready.set()

    # A thread, because every test runs an event loop of its own; the children live as long as the thread that made them.
    thread = threading.Thread(target=lambda: asyncio.run(hold()), name="town")
    thread.start()
    try:
        ready.wait(120)
        if failure:
            raise failure[0]
        yield Town(home, network.chain_url, network.deployment_file)
    finally:
        end.set()
        thread.join(60)


SCHEMA = Schema((Numeric("age"), Numeric("marker")), "ill", {"no": 0, "yes": 1})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A trainer's table that is as it should be."""
    path = tmp_path / "patients.csv"
    path.write_text("age,marker,ill\n" + "".join(f"{30 + n},{n / 7:.3f},{'yes' if n % 3 else 'no'}\n" for n in range(60)))
    return path


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "schema.toml"
    save(path, SCHEMA)
    return path


def an_order(table: str, budget: str = "60", **times: object) -> Order:
    """Two rounds of logistic regression on two columns."""
    kept: dict[str, object] = {"enrol": 600, "patience": 20, "window": 10, "deadline": 3_600, **times}
    return Order(
        title="a small study", budget=budget, rounds=2, seats=Seats(trainers=2, quorum=1, verifiers=1), times=Times(**kept),  # type: ignore[arg-type]
        data_schema=SCHEMA, architecture=Linear(2), objective=Objective.BINARY, strategy=FedAvg(LocalTraining(rate=0.1, batch=8, epochs=1)),
        held=Held(table), seed=7,
    )  # fmt: skip


@pytest.fixture
def newcomer(town: Town, table: Path, schema: Path, tmp_path: Path) -> Callable[..., tuple[object, ...]]:
    """The words of `hansa node new` for a trainer; keywords replace the default ones."""

    def words(name: str = "site", **changed: object) -> tuple[object, ...]:
        options = {"role": "trainer", "endpoint": town.url, "deployment": town.deployment, "port": 18_000, "data": table, "schema": schema}
        pairs = [(f"--{key}", value) for key, value in {**options, **changed}.items() if value is not None]
        return ("node", "new", name, *(word for pair in pairs for word in pair))

    return words


@pytest.fixture
def site(town: Town, table: Path, tmp_path: Path) -> Path:
    """A trainer's home that is as it should be, not registered; its key is cheap to open."""
    folder = tmp_path / "home" / "nodes" / "site"
    chain = ChainConfig((town.url,), str(town.deployment))
    make_home(folder, "site", "trainer", chain, time.time(), listen=ListenConfig(port=18_000), data=DataConfig(str(table), SCHEMA), work=2)
    return folder


def copy_home(town: Town, place: Path) -> Path:
    """The town's client in a home of the test's own, so that what a test breaks stays broken there alone."""
    shutil.copytree(town.home / "nodes", place / "nodes")
    shutil.copy(town.deployment, place / "deployment.json")
    return place
