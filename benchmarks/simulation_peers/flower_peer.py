"""Flower's simulation (Ray, two actors) on the workload, with the floor played between its rounds; prints both times, in CPU seconds.

A round's time is that of the whole tree of processes, from the strategy's choice of clients to the end of its aggregation.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from torch.nn import functional
from workload import BATCH, CLIENTS, COHORT, RATE, ROWS, Loop, build, load

FOLDER, NAME, ROUNDS = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
WORKERS = 2
client = ClientApp()
server = ServerApp()


def tree() -> float:
    """CPU seconds of this process and all below it, those that have ended among them."""
    tick, parents, spent = os.sysconf("SC_CLK_TCK"), {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)], spent[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15])) / tick
    members, grown = {os.getpid()}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in members} - members
        members, grown = members | more, bool(more)
    return sum(spent.get(pid, 0.0) for pid in members)


_state: dict[str, object] = {}


@client.train()
def train(message: Message, context: Context) -> Message:
    if "loop" not in _state:
        torch.set_num_threads(1)
        _state["data"], _state["model"], _state["loop"] = load(FOLDER), build(NAME), True
    (features, labels, _), model = _state["data"], _state["model"]
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    number = int(context.node_config["partition-id"])
    rows = slice(number * ROWS, (number + 1) * ROWS)
    features, labels = features[rows], labels[rows]
    optimiser = torch.optim.SGD(model.parameters(), lr=RATE)
    order = torch.randperm(ROWS)
    for start in range(0, ROWS, BATCH):
        index = order[start : start + BATCH]
        optimiser.zero_grad()
        functional.cross_entropy(model(features[index]), labels[index]).backward()
        optimiser.step()
    content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": MetricRecord({"num-examples": ROWS})})
    return Message(content=content, reply_to=message)


class Timed(FedAvg):
    """Federated averaging that notes when its rounds begin and end, and plays the floor between them."""

    peer: list[float] = []
    floor: list[float] = []

    def configure_train(self, server_round, arrays, config, grid):
        self.begun = tree()
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(self, server_round, replies):
        outcome = super().aggregate_train(server_round, replies)
        self.peer.append(tree() - self.begun)
        self.floor.append(self.loop.round(self.cohorts[server_round % len(self.cohorts)]))
        return outcome


@server.main()
def serve(grid: Grid, context: Context) -> None:
    torch.set_num_threads(1)
    features, labels, cohorts = load(FOLDER)
    strategy = Timed(fraction_train=COHORT / CLIENTS, fraction_evaluate=0.0, min_train_nodes=COHORT, min_available_nodes=CLIENTS)
    strategy.loop, strategy.cohorts = Loop(NAME, features, labels), cohorts
    strategy.start(grid=grid, initial_arrays=ArrayRecord(build(NAME).state_dict()), num_rounds=ROUNDS)


def main() -> None:
    resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}, "init_args": {"num_cpus": WORKERS, "include_dashboard": False}}
    run_simulation(server_app=server, client_app=client, num_supernodes=CLIENTS, backend_config=resources)
    found = {"peer": Timed.peer[2:], "floor": Timed.floor[2:], "startup": Timed.peer[0]}
    print("\n" + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
