"""Simulation beside a hand-written loop, pfl-research and Flower: the same 100 clients of 60 digits, 10 a round, 1 epoch, batch 10.

All figures are CPU seconds per round. Ours runs as it always does: 16-bit integers, exact sum, records. Each contender is timed against the
same hand loop, round by round in turn in one process, and the medians of these pairs are compared; what is paid once (imports, building,
choosing the executor, starting Ray) is left out. Peers live in environments of their own below $HANSA_PEERS (default /tmp/peers):
    python3 -m venv $HANSA_PEERS/pfl  && $HANSA_PEERS/pfl/bin/pip install torch==2.13.0 pfl[pytorch]==0.6.0
    python3 -m venv $HANSA_PEERS/flwr && $HANSA_PEERS/flwr/bin/pip install torch==2.13.0 flwr[simulation]==1.41.0
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent / "simulation_peers"))

from workload import BATCH, CLIENTS, COHORT, MODELS, RATE, ROWS, Loop, load, peak

from hansa.learning.examples import Examples
from hansa.learning.local import make_deterministic
from hansa.learning.strategies import FedAvg
from hansa.learning.strategy import LocalTraining
from hansa.model.architectures import Block, Cnn, Linear, Mlp, Objective
from hansa.simulation.draw import Fixed
from hansa.simulation.engine import Make, Simulation
from hansa.simulation.partition import Dealt, Iid, assign
from hansa.simulation.population import Shared, Synthetic, SyntheticPopulation
from hansa.simulation.processes import Processes
from hansa.simulation.work import Shop, Work

HERE = Path(__file__).resolve().parent
ARCHITECTURES = {
    "tiny": Linear(784, 10),
    "small": Cnn(1, 28, 28, 10, (Block(8, stride=2, pool=1), Block(16, stride=2, pool=1))),
    "mlp": Mlp(784, (200,), 10),
    "big": Cnn(1, 28, 28, 10, (Block(32, 5), Block(64, 5)), (300,)),
}
ROUNDS = {"tiny": 40, "small": 30, "mlp": 40, "big": 6}
FLOWER_BARS = {"tiny": 4.0, "small": 4.0, "mlp": 4.0, "big": 1.5}
LOCAL = LocalTraining(rate=RATE, batch=BATCH, epochs=1)
PEERS = Path(os.environ.get("HANSA_PEERS", "/tmp/peers"))


def write(folder: Path) -> None:
    """The workload's rows and cohorts, the same for everyone."""
    from sklearn.datasets import load_digits
    from torch.nn import functional

    bunch, random = load_digits(), np.random.default_rng(0)
    order = random.permutation(len(bunch.target))[:1500]
    picked = random.choice(order, CLIENTS * ROWS)
    images = torch.tensor(bunch.images[picked] / 16, dtype=torch.float32)[:, None]
    large = functional.interpolate(images, size=(28, 28), mode="bilinear")[:, 0].numpy()
    shifts = random.integers(-3, 4, (len(large), 2))
    moved = np.stack([np.roll(image, shift, (0, 1)) for image, shift in zip(large, shifts, strict=True)])
    features = (moved + 0.1 * random.standard_normal(moved.shape)).reshape(len(moved), -1).astype(np.float32)
    cohorts = np.stack([np.sort(random.choice(CLIENTS, COHORT, replace=False)) for _ in range(100)])
    np.savez(folder / "workload.npz", features=features, labels=bunch.target[picked].astype(np.int64), cohorts=cohorts)


def simulation(name: str, folder: Path, make: Make | None = None) -> Simulation:
    features, labels, _ = load(folder)
    rows = Examples(features.numpy(), labels.numpy())
    dealt = Dealt(np.arange(len(rows)), np.arange(CLIENTS + 1) * ROWS)
    work = Work(architecture=ARCHITECTURES[name], objective=Objective.CATEGORICAL, strategy=FedAvg(LOCAL))
    return Simulation(Shop.of(work, Shared.of(rows, dealt, torch.device("cpu"))), Fixed(COHORT), make)


def ours(name: str, folder: Path) -> tuple[float, float, str]:
    """Median ratio to the loop, the loop's median seconds, and the executor chosen."""
    features, labels, cohorts = load(folder)
    run, loop = simulation(name, folder), Loop(name, features, labels)
    for cohort in cohorts[:2]:
        run.step(), loop.round(cohort)
    pairs = []
    for cohort in cohorts[2 : 2 + ROUNDS[name]]:
        begun = time.process_time()
        run.step()
        pairs.append((time.process_time() - begun, loop.round(cohort)))
    return statistics.median(a / b for a, b in pairs), statistics.median(b for _, b in pairs), run.records[-1].executor


def child(python: Path | str, *words: object, limit: float = 900) -> dict[str, list[float]]:
    """The last line of another process's output, as JSON; exits where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "FLWR_TELEMETRY_ENABLED": "0"}
    command = [str(python), *map(str, words)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=environment)
    lines = [line for line in ran.stdout.splitlines() if line.startswith("{")]
    if ran.returncode or not lines:
        sys.exit(f"{words[0]} failed: {(ran.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(lines[-1])


def peer(which: str, name: str, folder: Path) -> float:
    """Median ratio of a peer's rounds to the loop's; of the totals where rounds overlap with what the peer does between them."""
    found = child(PEERS / which / "bin" / "python", HERE / "simulation_peers" / f"{'flower' if which == 'flwr' else which}_peer.py",
                  folder, name, ROUNDS[name] // (2 if which == "flwr" and name != "big" else 1) + 2)  # fmt: skip
    if which == "flwr":
        print(f"  Flower's start and first round: {found['startup']:.0f} CPU seconds, not counted", file=sys.stderr)
    return statistics.median(a / b for a, b in zip(found["peer"], found["floor"], strict=True))


def alone(name: str, folder: Path) -> None:
    """Our rounds in a process of their own; prints its peak memory in MiB."""
    run = simulation(name, folder)
    for _ in range(6):
        run.step()
    print(json.dumps({"peak": peak()}))


def crowd(clients: int) -> None:
    """Rounds of 1,000 out of so many synthetic clients, and out of so many that draw from a table; prints the peak memory in MiB."""
    cpu = torch.device("cpu")
    made = SyntheticPopulation(Synthetic(rows=20, spread=0.5), clients, 0, cpu)
    table = made.unseen(200)
    drawn = Shared.of(table, assign(Iid(rows=20), clients, 0, table.labels), cpu)
    spent = []
    for population in (made, drawn):
        work = Work(architecture=Linear(60, 10), objective=Objective.CATEGORICAL, strategy=FedAvg(LOCAL))
        run = Simulation(Shop.of(work, population), Fixed(1000))
        spent += [record.cpu for record in run.run(4)][1:]
    print(json.dumps({"peak": peak(), "cpu": statistics.median(spent)}))


def workers(name: str, folder: Path) -> float:
    """CPU seconds per round with two worker processes over those with one, rounds in turn."""
    runs = [simulation(name, folder, lambda shop, count=count: Processes(shop, count)) for count in (1, 2)]
    try:
        pairs = [[run.step().cpu for run in runs] for _ in range(ROUNDS[name] // 2 + 2)][2:]
    finally:
        for run in runs:
            run.close()
    return statistics.median(two / one for one, two in pairs)


def claim(text: str, value: float, unit: str, against: str, ratio: float, bar: float, holds: bool) -> dict[str, object]:
    return {"claim": text, "value": value, "unit": unit, "against": against, "ratio": ratio, "bar": bar, "holds": holds}


def measure(folder: Path, names: list[str], peers: list[str]) -> Iterator[dict[str, object]]:
    """The claims, one by one."""
    write(folder)
    for name in names:
        ratio, floor, executor = ours(name, folder)
        size = simulation(name, folder).shop.work.layout.size
        bar = 0.55 if size < 10_000 else 1.1
        what = f"simulation, {size} weights, {executor}"
        yield claim(f"{what}: a round", ratio * floor * 1e3, "ms", f"hand loop: {floor * 1e3:.3g} ms", ratio, bar, ratio <= bar)
        if "pfl" in peers:
            theirs = peer("pfl", name, folder)
            against = f"pfl-research 0.6: {theirs:.3g} x the loop"
            yield claim(f"{what}: against pfl-research", ratio, "x the loop", against, ratio / theirs, 1.0, ratio <= theirs)
        if "flwr" in peers:
            theirs, least = peer("flwr", name, folder), FLOWER_BARS[name]
            against = f"Flower 1.41: {theirs:.3g} x the loop"
            yield claim(f"{what}: times cheaper than Flower", ratio, "x the loop", against, theirs / ratio, least, theirs / ratio >= least)
        here, loop = (child(sys.executable, *words)["peak"] for words in (
            (__file__, "--alone", name, "--folder", folder), (HERE / "simulation_peers" / "workload.py", folder, name, 6)
        ))  # fmt: skip
        yield claim(f"{what}: peak memory", here, "MiB", f"hand loop: {loop:.0f} MiB", here / loop, 1.3, here <= 1.3 * loop)
    few, many = (child(sys.executable, __file__, "--crowd", count) for count in (10_000, 1_000_000))
    growth = many["peak"] / few["peak"]
    against = f"10000 clients: {few['peak']:.0f} MiB"
    yield claim("1000000 clients, 1000 a round: peak memory", many["peak"], "MiB", against, growth, 1.05, growth <= 1.05)
    for name in [name for name in ("small", "mlp") if name in names]:
        ratio = workers(name, folder)
        yield claim(f"two worker processes instead of one, {name}: CPU per round", ratio, "x", "one worker", ratio, 1.15, ratio <= 1.15)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--peers", nargs="*", choices=("pfl", "flwr"), default=["pfl", "flwr"])
    parser.add_argument("--alone", choices=MODELS, help=argparse.SUPPRESS)
    parser.add_argument("--crowd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    make_deterministic(1)
    if options.alone:
        alone(options.alone, options.folder)
        return 0
    if options.crowd:
        crowd(options.crowd)
        return 0
    absent = [which for which in options.peers if not (PEERS / which / "bin" / "python").exists()]
    held = True
    with tempfile.TemporaryDirectory() as name:
        for each in measure(Path(name), options.models, [which for which in options.peers if which not in absent]):
            held = held and bool(each["holds"])
            shown = (
                f"{each['claim']}: {each['value']:.3g} {each['unit']}, ratio {each['ratio']:.3g} to {each['against']}, bar {each['bar']}"
            )
            print(json.dumps(each) if options.json else f"{shown}: {'holds' if each['holds'] else 'FAILS'}", flush=True)
    if absent:
        print(f"not installed below {PEERS}: {', '.join(absent)}; the script's head says how to make them", file=sys.stderr)
    return 0 if held and not absent else 1


if __name__ == "__main__":
    sys.exit(main())
