"""pfl-research's SimulatedBackend on the workload, with the floor played after each of its rounds; prints both times, in CPU seconds."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.hyperparam.base import NNEvalHyperParams, NNTrainHyperParams
from pfl.metrics import Metrics, Weighted
from pfl.model.pytorch import PyTorchModel
from workload import BATCH, CLIENTS, COHORT, RATE, ROWS, Loop, build, load


class Module(torch.nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.inner = build(name)

    def loss(self, features: torch.Tensor, labels: torch.Tensor, eval: bool = False) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self.inner(features), labels)

    def metrics(self, features: torch.Tensor, labels: torch.Tensor, eval: bool = False) -> dict[str, object]:
        with torch.no_grad():
            return {"loss": Weighted(self.loss(features, labels).item() * len(labels), len(labels))}


class Timer(TrainingProcessCallback):
    """Ends a round of pfl, plays one of the floor, begins the next."""

    def __init__(self, loop: Loop, cohorts: list[list[int]]) -> None:
        self.loop, self.cohorts = loop, cohorts
        self.ours: list[float] = []
        self.floor: list[float] = []
        self.begun = 0.0

    def on_train_begin(self, *, model: PyTorchModel) -> Metrics:
        self.begun = time.process_time()
        return Metrics()

    def after_central_iteration(self, aggregate_metrics, model, *, central_iteration):
        self.ours.append(time.process_time() - self.begun)
        self.floor.append(self.loop.round(self.cohorts[central_iteration]))
        self.begun = time.process_time()
        return False, Metrics()


def main() -> None:
    folder, name, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    np.random.seed(0)
    features, labels, cohorts = load(folder)
    users = iter([client for cohort in cohorts for client in cohort])

    def dataset(client: int) -> PyTorchTensorDataset:
        rows = slice(client * ROWS, (client + 1) * ROWS)
        return PyTorchTensorDataset((features[rows], labels[rows]))

    torch.manual_seed(0)
    module = Module(name)
    model = PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), 1.0))
    backend = SimulatedBackend(FederatedDataset(dataset, lambda: next(users)), FederatedDataset(dataset, lambda: 0 % CLIENTS))
    timer = Timer(Loop(name, features, labels), cohorts)
    FederatedAveraging().run(
        NNAlgorithmParams(rounds, 10**9, COHORT, 0), backend, model,
        NNTrainHyperParams(local_num_epochs=1, local_learning_rate=RATE, local_batch_size=BATCH),
        NNEvalHyperParams(local_batch_size=1000), callbacks=[timer], send_metrics_to_platform=False,
    )  # fmt: skip
    print(json.dumps({"peer": timer.ours[2:], "floor": timer.floor[2:]}))


if __name__ == "__main__":
    main()
