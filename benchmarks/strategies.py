"""Strategies on label-skewed MNIST: FedAvg, FedProx, SCAFFOLD and FedAdam, each tuned, with means and spreads over 5 seeds.

20 sites hold 8,000 training images by Dirichlet(0.3) over the labels, half of them take part in each of 40 rounds, with 2 passes in batches
of 20; one hidden layer of 64; updates in 16 bits, every site counting the same (R9). Each strategy's rates are those with the highest
accuracy on 2,000 other training images, for a division and initial values used for nothing else. Then 5 seeds of division, initial values,
cohorts and batches, and all 10,000 test images. Seeds, not methods, make most of the spread: no ranking is asserted.

Data: MNIST (LeCun, Cortes), CC BY-SA 3.0; read from $HANSA_SHARED, never kept.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from msgspec.structs import replace

from hansa.core.errors import FormatError
from hansa.learning.examples import Examples
from hansa.learning.local import Placed, evaluate, make_deterministic, place
from hansa.learning.site import contribute
from hansa.learning.strategies import AnyStrategy, FedAdam, FedAvg, FedProx, Scaffold
from hansa.learning.strategy import LocalTraining, Vectors, derive_seed, mean_of
from hansa.model.aggregate import Aggregate
from hansa.model.architectures import Mlp, Objective, initial
from hansa.model.state import ModelState
from hansa.model.update import Update, largest, quantise
from hansa.simulation.partition import Dirichlet, assign

FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MODEL, OBJECTIVE, CPU = Mlp(784, (64,), 10), Objective.CATEGORICAL, torch.device("cpu")
TRAINING, VALIDATION = 8_000, 2_000
SITES, COHORT, ROUNDS, SKEW = 20, 10, 40, 0.3
SEEDS, TUNING_SEED = range(1, 6), 100
LARGEST_CHANGE = 1.0
LOCAL = LocalTraining(rate=0.1, batch=20, epochs=2)
RATES = (0.1, 0.3, 0.6)


def trained(rate: float, proximal: float = 0.0) -> LocalTraining:
    return replace(LOCAL, rate=rate, proximal=proximal)


GRIDS: dict[str, list[AnyStrategy]] = {
    "FedAvg": [FedAvg(trained(rate)) for rate in (0.03, *RATES)],
    "FedProx": [FedProx(trained(rate, mu)) for rate in RATES for mu in (0.01, 0.1)],
    "SCAFFOLD": [Scaffold(trained(rate), clients=SITES) for rate in (0.03, *RATES)],
    "FedAdam": [FedAdam(trained(rate), rate=server, tau=1e-3) for rate in (0.1, 0.3) for server in (0.01, 0.03, 0.1)],
}


class Absent(Exception):
    """The data are not here; the benchmark is skipped."""


def load(part: str) -> Examples:
    """One of the two parts, "train" or "t10k", pixels from 0 to 1; exits with an error when a file is not the original."""
    shared = Path(os.environ.get("HANSA_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    contents = []
    for kind in ("images-idx3", "labels-idx1"):
        name = f"{part}-{kind}-ubyte"
        path = shared / "data" / "mnist" / f"{name}.gz"
        if not path.is_file():
            raise Absent("data set mnist not present (shared/data)")
        contents.append(gzip.decompress(path.read_bytes()))
        if hashlib.sha256(contents[-1]).hexdigest() != FILES[name]:
            sys.exit(f"{path} is an altered copy: its content's sha256 is not {FILES[name]}")
    pixels = np.frombuffer(contents[0], np.uint8, offset=16).reshape(-1, 784)
    return Examples((pixels / np.float32(255)).astype(np.float32), np.frombuffer(contents[1], np.uint8, offset=8).astype(np.int64))


def run(strategy: AnyStrategy, rows: Examples, seed: int) -> ModelState:
    """The model after all rounds; `seed` fixes the division, the initial values, the cohorts and the batches."""
    held = assign(Dirichlet(SKEW, least=LOCAL.batch), SITES, seed, rows.labels)
    sites = [place(rows.take(held.rows(site)), CPU) for site in range(SITES)]
    base = initial(MODEL, seed)
    state, random = strategy.init(base), np.random.Generator(np.random.PCG64(seed))
    kept: list[Vectors] = [strategy.fresh(base.layout)] * SITES
    travels = strategy.travels(base.layout)
    scales = tuple(bound / largest(16) for bound in strategy.bounds(base.layout, LARGEST_CHANGE))
    for number in range(ROUNDS):
        told, updates = strategy.told(base.layout, state), []
        for site in random.choice(SITES, COHORT, replace=False):
            batches = derive_seed(seed, number, f"site {site}")
            made = contribute(strategy, MODEL, OBJECTIVE, base, told, kept[site], sites[site], batches)
            kept[site] = made.kept
            updates.append(Update(travels, scales, quantise(travels, made.sent, scales)[0], 1))
        base, state = strategy.step(base, mean_of(Aggregate.of(updates)), state)
    return base


def accuracy(strategy: AnyStrategy, rows: Examples, held: Placed, seed: int) -> float:
    """0 when training diverged: such rates are not taken."""
    try:
        return evaluate(MODEL, OBJECTIVE, run(strategy, rows, seed), held).accuracy or 0.0
    except FormatError:
        return 0.0


def words(strategy: AnyStrategy) -> str:
    parts = [f"rate {strategy.local.rate:g}"]
    parts += [f"mu {strategy.local.proximal:g}"] if isinstance(strategy, FedProx) else []
    parts += [f"server rate {strategy.rate:g}"] if isinstance(strategy, FedAdam) else []
    return ", ".join(parts)


def measure(progress: Callable[[str], None]) -> list[dict[str, object]]:
    whole, test = load("train"), place(load("t10k"), CPU)
    order = np.random.Generator(np.random.PCG64(TUNING_SEED)).permutation(len(whole))
    rows = whole.take(order[:TRAINING])
    validation = place(whole.take(order[TRAINING : TRAINING + VALIDATION]), CPU)
    claims: list[dict[str, object]] = []
    for name, grid in GRIDS.items():
        found = [(accuracy(strategy, rows, validation, TUNING_SEED), words(strategy), strategy) for strategy in grid]
        progress(f"{name}: " + "; ".join(f"{text}: {value:.4f}" for value, text, _ in found))
        best = max(found, key=lambda entry: entry[0])
        scores = [accuracy(best[2], rows, test, seed) for seed in SEEDS]
        mean, spread = statistics.fmean(scores), statistics.stdev(scores)
        text = f"label-skewed MNIST (Dirichlet {SKEW:g}, {SITES} sites), {name} tuned ({best[1]}): test accuracy, mean of 5 seeds"
        claims.append(claim(f"{text} (sd {spread:.4f}, {min(scores):.4f} to {max(scores):.4f})", mean))
    return claims


def claim(text: str, value: float) -> dict[str, object]:
    return {"claim": text, "value": value, "unit": "accuracy", "against": None, "ratio": None, "bar": None, "holds": True}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object per claim and line")
    options = parser.parse_args(arguments)
    make_deterministic(1)
    start = time.process_time()
    try:
        claims = measure(lambda text: print(text, file=sys.stderr, flush=True))
    except Absent as reason:
        print(f"skipped: {reason}", file=sys.stderr)
        return 3
    for line in claims:
        print(json.dumps(line) if options.json else f"{line['claim']}: {line['value']:.4f}")
    if not options.json:
        print(f"{time.process_time() - start:.0f} s of one core")
    return 0


if __name__ == "__main__":
    sys.exit(main())
