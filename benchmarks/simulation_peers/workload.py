"""The simulation benchmark's workload and its floor: a hand-written loop on torch alone, which peers import beside themselves.

100 clients x 60 of scikit-learn's digits, enlarged to 28 x 28, shifted and noisy; 10 clients a round, 1 epoch, batch 10, SGD at 0.1.
Run as a program it plays the loop and prints the peak of its memory.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

CLIENTS, ROWS, COHORT, BATCH, RATE = 100, 60, 10, 10, 0.1
MODELS = ("tiny", "small", "mlp", "big")


def build(name: str) -> nn.Module:
    """The models of the comparison; convolutions are padded, so that stride 1 keeps the image's size."""
    match name:
        case "tiny":
            layers = [nn.Linear(784, 10)]
        case "mlp":
            layers = [nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10)]
        case "small":
            layers = [nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()]
            layers += [nn.Flatten(), nn.Linear(784, 10)]
        case _:
            layers = [nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 32, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2)]
            layers += [nn.Conv2d(32, 64, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 300), nn.ReLU()]
            layers += [nn.Linear(300, 10)]
    return nn.Sequential(*layers)


def load(folder: Path) -> tuple[torch.Tensor, torch.Tensor, list[list[int]]]:
    """Features (6000, 784), client after client; labels; the cohorts of all rounds."""
    with np.load(folder / "workload.npz") as file:
        return torch.from_numpy(file["features"]), torch.from_numpy(file["labels"]), file["cohorts"].tolist()


class Loop:
    """The floor: clients one after the other, torch.optim.SGD, a weighted sum in place."""

    def __init__(self, name: str, features: torch.Tensor, labels: torch.Tensor) -> None:
        torch.manual_seed(0)
        self.model = build(name)
        self.weights = [parameter.detach().clone() for parameter in self.model.parameters()]
        self._features, self._labels = features, labels
        self._generator = torch.Generator().manual_seed(1)

    def round(self, cohort: list[int]) -> float:
        """One round; its processor seconds."""
        begun = time.process_time()
        sums = [torch.zeros_like(weight) for weight in self.weights]
        parameters = list(self.model.parameters())
        for client in cohort:
            with torch.no_grad():
                for parameter, weight in zip(parameters, self.weights, strict=True):
                    parameter.copy_(weight)
            optimiser = torch.optim.SGD(parameters, lr=RATE)
            features, labels = (values[client * ROWS : (client + 1) * ROWS] for values in (self._features, self._labels))
            order = torch.randperm(ROWS, generator=self._generator)
            for start in range(0, ROWS, BATCH):
                index = order[start : start + BATCH]
                optimiser.zero_grad()
                functional.cross_entropy(self.model(features[index]), labels[index]).backward()
                optimiser.step()
            with torch.no_grad():
                for total, parameter in zip(sums, parameters, strict=True):
                    total.add_(parameter, alpha=1 / len(cohort))
        self.weights = sums
        return time.process_time() - begun


def peak() -> float:
    """The most memory this program has had, in MiB; unlike getrusage, without what its parent had when it was started."""
    found = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    folder, name, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    features, labels, cohorts = load(folder)
    loop = Loop(name, features, labels)
    for cohort in cohorts[:rounds]:
        loop.round(cohort)
    print(json.dumps({"peak": peak()}))


if __name__ == "__main__":
    main()
