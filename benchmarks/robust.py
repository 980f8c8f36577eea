"""Robust rules beside ByzFL, and beside reading their input once.

Same integers for both: ours as int16, ByzFL's as float32, n updates of a million values each with f = n / 5. Every figure is the median of
rounds of CPU time, ours and the peer's in turn; each ratio is against the faster of ByzFL's numpy and torch paths, each on one thread. Both
answers are compared, except for Krum and Multi-Krum: ByzFL's count one neighbour more than the paper and ours. Before the first round each
rule runs once, which builds its kernel. ByzFL's mixing would gather 8 GB at n = 50 and is measured at n = 20 only.

The peer lives in a virtual environment of its own, HANSA_PEERS/byzfl (by default /tmp/peers/byzfl), and runs in a process of its own:

    python3 -m venv /tmp/peers/byzfl
    /tmp/peers/byzfl/bin/pip install torch==2.13.0 scipy matplotlib seaborn
    /tmp/peers/byzfl/bin/pip install --no-deps byzfl==0.0.11

ByzFL imports torchvision, which it needs for its data sets alone; the peer's process puts a mock in its place.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np

COLUMNS, ROUNDS = 1_000_000, 5
PEER = Path(os.environ.get("HANSA_PEERS", "/tmp/peers")) / "byzfl" / "bin" / "python"


def numbers(rows: int) -> np.ndarray:
    """Normal with a spread of 6000 about a common offset, the last fifth of the rows far from the others."""
    random = np.random.default_rng(rows)
    values = random.standard_normal((rows, COLUMNS), np.float32) * 6000 + 500
    values[rows - rows // 5 :] += 9000
    return np.rint(values).clip(-32767, 32767).astype(np.int16)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


class Peer:
    """The peer's process: a rule's name in, CPU seconds of both of its paths and an excerpt of the answer out, one JSON line each."""

    def __init__(self, rows: np.ndarray, folder: Path) -> None:
        np.save(folder / "rows.npy", rows)
        self._process = subprocess.Popen(
            [str(PEER), __file__, "--peer", str(folder / "rows.npy")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, rule: str) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the peer's process has no pipes")
        self._process.stdin.write(rule + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the peer's process ended; see its message above")
        return dict(json.loads(line))

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(60)


def serve(file: str) -> None:
    """The peer's side, run by the peer's interpreter."""
    sys.modules["torchvision"] = MagicMock()
    import byzfl
    import torch

    torch.set_num_threads(1)
    rows = np.load(file).astype(np.float32)
    paths = {"numpy": rows, "torch": torch.from_numpy(rows)}
    f = len(rows) // 5
    mixing, trimmed = byzfl.NNM(f), byzfl.TrMean(f)
    rules: dict[str, Callable[[Any], Any]] = {
        "median": byzfl.Median(),
        "trimmed mean": trimmed,
        "Krum": byzfl.Krum(f),
        "Multi-Krum": byzfl.MultiKrum(f),
        "geometric median, 20 iterations": byzfl.GeometricMedian(nu=0.1, T=20),
        "mixing, then trimmed mean": lambda values: trimmed(mixing(values)),
    }
    for line in sys.stdin:
        rule, answer = rules[line.strip()], dict[str, Any]()
        for path, values in paths.items():
            answer[path], result = timed(partial(rule, values))
            answer["values"] = [float(value) for value in result[:1000]]
        print(json.dumps(answer), flush=True)


def against_peer(rows: np.ndarray) -> list[dict[str, object]]:
    from hansa.learning.robust import GeometricMedian, Krum, Median, MultiKrum, NearestNeighbourMixing, TrimmedMean

    n, f = len(rows), len(rows) // 5
    rules = {
        "median": (Median(), 8.0, True),
        "trimmed mean": (TrimmedMean(f), 3.0, True),
        "Krum": (Krum(f), 7.0, False),
        "Multi-Krum": (MultiKrum(f), 7.0, False),
        "geometric median, 20 iterations": (GeometricMedian(f, 20), 30.0, True),
    }
    if n == 20:
        rules["mixing, then trimmed mean"] = (NearestNeighbourMixing(f, TrimmedMean(f)), 20.0, True)
    claims = []
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(rows, Path(folder))
        for name, (rule, bar, same) in rules.items():
            rule.apply(rows)
            ours, theirs = [], []
            for _ in range(ROUNDS):
                seconds, combined = timed(partial(rule.apply, rows))
                ours.append(seconds)
                theirs.append(peer.run(name))
                gap = float(np.abs(combined.values[:1000] / combined.weight - theirs[-1]["values"]).max())
                if same and gap > 1.0:
                    raise RuntimeError(f"{name}: the answers differ by {gap} quantisation steps")
            paths = {path: statistics.median(each[path] for each in theirs) for path in ("numpy", "torch")}
            shown = ", ".join(f"{path} {1e3 * seconds:.3g} ms" for path, seconds in paths.items())
            claims.append(claim(f"{name}, n={n}, d=1M", ours, f"ByzFL 0.0.11: {shown}", min(paths.values()), bar))
        peer.close()
    return claims


def claim(name: str, ours: list[float], against: str, other: float, bar: float) -> dict[str, object]:
    mine = statistics.median(ours)
    return {
        "claim": name,
        "value": 1e3 * mine,
        "unit": "ms CPU",
        "against": against,
        "ratio": other / mine,
        "bar": bar,
        "holds": other / mine >= bar,
    }


def against_reading(name: str, call: Callable[[], Any], read: Callable[[], Any], most: float) -> dict[str, object]:
    """A call beside one pass over its input; the ratio is how many passes it costs, the bar how many it may."""
    call()
    read()
    times = [(timed(call)[0], timed(read)[0]) for _ in range(4 * ROUNDS + 1)]
    mine, floor = (statistics.median(column) for column in zip(*times, strict=True))
    against = f"adding up its bytes as 64-bit integers: {1e3 * floor:.3g} ms"
    return {
        "claim": name,
        "value": 1e3 * mine,
        "unit": "ms CPU",
        "against": against,
        "ratio": mine / floor,
        "bar": most,
        "holds": mine / floor <= most,
    }


def floors(rows: np.ndarray) -> list[dict[str, object]]:
    from hansa.learning.robust import Median
    from hansa.model.aggregate import Aggregate
    from hansa.model.layout import Layout, Tensor
    from hansa.model.update import Update

    size = 10_000_000
    layout = Layout((Tensor("weight", (size,)),))
    random = np.random.default_rng(1)
    updates = [Update(layout, (2.0**-15,), random.integers(-32767, 32768, size, np.int16), 100 + i) for i in range(10)]
    median = Median()
    return [
        against_reading(
            "median, n=20, d=1M, int16, beside reading its input",
            lambda: median.apply(rows),
            lambda: rows.reshape(-1).view(np.int64).sum(),
            2.5,
        ),
        against_reading(
            "weighted mean of 10 updates of 10M int16, beside reading them",
            lambda: Aggregate.of(iter(updates)),
            lambda: [update.values.view(np.int64).sum() for update in updates],
            1.7,
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object per claim and line")
    parser.add_argument("--peer", metavar="FILE", help="serve as the peer, on the rows in this file")
    options = parser.parse_args()
    if options.peer:
        serve(options.peer)
        return 0
    if not PEER.exists():
        print(f"ByzFL is not installed at {PEER}; this file's first lines say how to", file=sys.stderr)
        return 1
    small = numbers(20)
    claims = [*floors(small), *against_peer(small), *against_peer(numbers(50))]
    for one in claims:
        print(
            json.dumps(one)
            if options.json
            else f"{one['claim']}: {one['value']:.3g} {one['unit']}; {one['against']} (ratio {one['ratio']:.3g}, bar {one['bar']:g})"
        )
    return 0 if all(one["holds"] for one in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
