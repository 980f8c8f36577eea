"""How much of its time a worker computes when DiLoCo's sites meet over home links: measured times and sizes, simulated links.

Measured on one core here: a step of AdamW (batch of 8 windows of 256 bytes, or of 64 for the small model), an update's encoding and
decoding with its share of the sum, the next model; sizes are those of real encodings. Simulated (`simulation.links`): every worker's link,
110 Mbit/s up and 500 Mbit/s down, 50 ms; nothing overlaps anything. Per round the star exposes: encode, gather, sum, one verifier's
fetching and sum, 1.5 s of agreement on the ledger (half a second for verdicts, a second of grace), scatter of the whole next model as
float32 by its four holders, the coordinator and three verifiers that found it right. Each of them has a link of 10 Gbit/s, 10 ms; the same
with 1 Gbit/s is shown too. Among peers, as in published systems, a worker uploads
once to a store that is no bottleneck and fetches all others' updates; the model itself never travels, and nobody repeats the sum. The
slowest worker of a round is taken to need 2 % longer than the others, who wait for it. Plain updates are 16-bit integers of every weight.

For comparison: a published run of 72 billion parameters reports 94.5 %, 70 s of communication every 20 min.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from msgspec.structs import replace

from hansa.core.types import Digest
from hansa.learning.compression.choice import AnyCompression
from hansa.learning.compression.sparse_loco import SparseLoco
from hansa.learning.local import place, train
from hansa.learning.strategies.diloco import DiLoCo
from hansa.learning.strategy import LocalTraining, Start
from hansa.learning.text import windows
from hansa.model import codec
from hansa.model.aggregate import Aggregate
from hansa.model.architectures import Objective, initial
from hansa.model.architectures.transformer import Transformer
from hansa.model.update_format import UpdateFormat
from hansa.rounds.pipeline import Pipeline
from hansa.simulation.links import Link, Work, among_peers, through_hub, utilisation

TEN_MILLION = Transformer(context=256, width=320, heads=5, layers=8, tied=True)
SMALL = Transformer(context=64, width=128, heads=4, layers=2, tied=True)
BATCH = 8
LOCAL = LocalTraining(rate=1e-3, batch=BATCH, steps=1, optimiser="adamw", beta2=0.95, decay=0.1, clip=1.0)
STEPS, REPEATS = 3, 5
"""Steps of one timed training, and how many are timed; the same for the other times."""
BOUND, SEED = 0.5, 1

MBIT, GBIT = 1e6, 1e9
SITE = Link(up=110 * MBIT, down=500 * MBIT, latency=0.05)
HUB, SMALL_HUB = (Link(up=rate, down=rate, latency=0.01) for rate in (10 * GBIT, GBIT))
HOLDERS, AGREEMENT, STRAGGLER = 4, 1.5, 1.02
WORKERS, MEETINGS = (4, 8, 16, 32, 64), (15, 30, 100, 500)
BAR, AT = 0.90, 30


class Measured(NamedTuple):
    """A model's name and a round of it with one local step, in which only the number of steps is still to be set."""

    name: str
    parameters: int
    step: float
    update: int
    model: int
    encode: float
    decode: float
    apply: float

    def work(self, steps: int) -> Work:
        return Work(steps, self.step, self.update, self.model, self.encode, self.decode, self.apply, STRAGGLER)


def cpu(work: Callable[[], object]) -> float:
    """Median seconds of processor."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def step_seconds(model: Transformer) -> float:
    """One local step, without what a training costs once: the difference of one training of many steps and one of a single step."""
    start = initial(model, SEED)
    rows = place(windows(np.random.default_rng(SEED).bytes(BATCH * model.context + 1), model.context), torch.device("cpu"))

    def run(steps: int) -> float:
        local = replace(LOCAL, steps=steps)
        return cpu(lambda: train(model, Objective.TOKENS, Start(start.vector), rows, local, SEED))

    run(1)
    once, many = run(1), run(1 + STEPS)
    return (many - once) / STEPS


def measure(name: str, model: Transformer, step: float, compression: AnyCompression | None) -> Measured:
    """The other costs of a round of `model`, with a change as heavy-tailed as they are."""
    base, strategy = initial(model, SEED), DiLoCo(LOCAL)
    line = Pipeline.of(strategy, base.layout, BOUND, 16, clip=0.0, compression=compression, rule=None)
    vector = (np.random.default_rng(SEED).standard_t(3, base.layout.size) * 1e-3).astype(np.float32)
    form = UpdateFormat(
        1, 1, Digest(bytes(32)), Digest(bytes(32)), line.summed.layout, line.summed.scales, line.summed.bits, 1, line.packing(SEED)
    )

    def encode() -> bytes:
        update, payload, _, _ = line.encode(vector, 1, line.initial(), SEED)
        return form.encode(update, Digest(bytes(32)), payload)

    blob = encode()
    together = 8

    def total() -> Aggregate:
        return Aggregate.of(form.decode(blob)[1] for _ in range(together))

    aggregate, state = total(), strategy.init(base)

    def apply() -> bytes:
        return codec.encode(strategy.step(base, line.mean(aggregate, SEED), state)[0])

    return Measured(name, base.layout.size, step, len(blob), len(apply()), cpu(encode), cpu(total) / together, cpu(apply))


def shares(measured: Measured, steps: int, workers: int) -> Iterator[tuple[str, float]]:
    work = measured.work(steps)
    for rate, hub in (("10", HUB), ("1", SMALL_HUB)):
        exposed = through_hub(work, workers, SITE, hub, holders=HOLDERS, agreement=AGREEMENT)
        yield f"star at {rate} Gbit/s", utilisation(work, exposed)
    yield "among peers", utilisation(work, among_peers(work, workers, SITE))


def facts(measured: Measured) -> list[dict[str, object]]:
    about = f"{measured.parameters / 1e6:.3g}M parameters, {measured.name}"
    return [
        claim(f"{about}: a local step, one core", measured.step * 1e3, "ms"),
        claim(f"{about}: an update on the wire", measured.update / 1024, "KiB", f"the model: {measured.model / 1024:.0f} KiB"),
        claim(f"{about}: encoding an update", measured.encode * 1e3, "ms"),
        claim(f"{about}: decoding and summing one", measured.decode * 1e3, "ms"),
        claim(f"{about}: the next model", measured.apply * 1e3, "ms"),
    ]


def table(measured: Measured, barred: bool) -> list[dict[str, object]]:
    """One claim a number of steps and way to meet: the least of all numbers of workers, which is also that of the most workers."""
    found = []
    for steps in MEETINGS:
        by_way: dict[str, list[float]] = {}
        for workers in WORKERS:
            for way, share in shares(measured, steps, workers):
                by_way.setdefault(way, []).append(share)
        for way, values in by_way.items():
            bar = BAR if barred and steps == AT and way != "star at 1 Gbit/s" else None
            row = ", ".join(f"{workers}: {share:.1%}" for workers, share in zip(WORKERS, values, strict=True))
            text = f"{measured.parameters / 1e6:.3g}M, {measured.name}, H = {steps}, {way}: least utilisation at 4 to 64 workers"
            found.append(claim(text, min(values), "of the time", f"workers {row}", bar, None if bar is None else min(values) >= bar))
    return found


def claim(
    text: str, value: float, unit: str, against: str | None = None, bar: float | None = None, holds: bool | None = None
) -> dict[str, object]:
    return {"claim": text, "value": value, "unit": unit, "against": against, "ratio": None, "bar": bar, "holds": holds}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object per claim and line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    claims = []
    for model, large in ((TEN_MILLION, True), (SMALL, False)):
        step = step_seconds(model)
        for name, compression in (("SparseLoCo", SparseLoco()), ("not compressed", None)):
            measured = measure(name, model, step, compression)
            claims += facts(measured) + table(measured, large and compression is not None)
    for one in claims:
        print(json.dumps(one) if options.json else f"{one['claim']}: {one['value']:.4g} {one['unit']} ({one['against']})")
    return 0 if all(one["holds"] is not False for one in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
