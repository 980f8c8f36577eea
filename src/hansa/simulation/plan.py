"""What a local network consists of: who takes part in which role, on what data, with how much money."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from hansa.core.config import save
from hansa.learning.strategies.fedavg import FedAvg
from hansa.market.order import Held, Order, Seats, Times
from hansa.model.architectures import Linear, Objective
from hansa.node.config import DataConfig, RoleName
from hansa.simulation.hospitals import patients, write_csv
from hansa.simulation.study import LOCAL, SEED, schema

TOKEN = 10**18
"""One token in its smallest unit."""

ORDER = "job.toml"
SCHEMA = "schema.toml"
"""Names of the samples in the client's home: an order to post, and the columns that a newcomer's data need to take part in it."""

NODE_COMMAND = (sys.executable, "-m", "hansa.cli.main", "node", "run", "--config")


class Member(msgspec.Struct, frozen=True):
    """One party: its node's name and role, tokens it is given at the start, how much of them it stakes, and a trainer's data.

    A `standby` coordinator takes a seat only behind another one. `command` is the program of its process, to which the path of the
    configuration is added; a client has none, it acts from outside.
    """

    name: str
    role: RoleName
    tokens: int
    stake: int = 0
    data: DataConfig | None = None
    device: str = "cpu"
    standby: bool = False
    command: tuple[str, ...] = NODE_COMMAND


class NetworkPlan(msgspec.Struct, frozen=True):
    """A network in one home folder. `chain_port` 0 has a free port chosen; `max_gap` and `thaw_delay` are in seconds.

    `bonds` is how much each member lets the round ledger take for challenges. `scrypt_work` is low on purpose: these keys are made for
    one machine's throw-away network and guard nothing, and the usual 256 MiB a key would not fit ten processes that start at once.
    """

    home: Path
    members: tuple[Member, ...]
    chain_id: int = 31337
    chain_port: int = 0
    max_gap: int = 600
    thaw_delay: int = 86_400
    bonds: int = 1_000 * TOKEN
    scrypt_work: int = 1 << 12


def hospital_plan(home: Path, *, verifiers: int = 3, coordinators: tuple[str, ...] = ("coordinator", "standby")) -> NetworkPlan:
    """Four hospitals with their own data folders, coordinators in order of office, verifiers, and one client.

    Writes the hospitals' and the client's tables on first use; each file has one reader. The client also gets an order to post and its
    columns.
    """
    everyone = patients()
    members = [Member("client", "client", tokens=100_000 * TOKEN)]
    for name, clinic in {**everyone.hospitals, "client": everyone.client}.items():
        table = home / "nodes" / name / "data" / "patients.csv"
        if not table.exists():
            write_csv(clinic, everyone.columns, table)
        if name != "client":
            data = DataConfig(path="data/patients.csv", data_schema=schema(everyone.columns))
            members.append(Member(name, "trainer", tokens=2_000 * TOKEN, stake=1_000 * TOKEN, data=data))
    for place, name in enumerate(coordinators):
        members.append(Member(name, "coordinator", tokens=12_000 * TOKEN, stake=10_000 * TOKEN, standby=place > 0))
    members += [Member(f"verifier-{n}", "verifier", tokens=7_000 * TOKEN, stake=5_000 * TOKEN) for n in range(1, verifiers + 1)]
    client = home / "nodes" / "client"
    for name, sample in ((ORDER, hospital_order(everyone.columns)), (SCHEMA, schema(everyone.columns))):
        if not (client / name).exists():
            save(client / name, sample)
    return NetworkPlan(home, tuple(members))


def hospital_order(columns: tuple[str, ...]) -> Order:
    """Six rounds of the hospitals' study for 600 tokens, with deadlines for somebody who watches."""
    return Order(
        title="benign or malignant, from thirty measurements of a biopsy", budget="600", rounds=6, milestones=2,
        seats=Seats(trainers=4, quorum=3, verifiers=3), times=Times(enrol=60, patience=30, window=10, deadline=900),
        data_schema=schema(columns), architecture=Linear(len(columns)), objective=Objective.BINARY, strategy=FedAvg(LOCAL),
        held=Held("data/patients.csv", margin=0.1), seed=SEED,
    )  # fmt: skip
