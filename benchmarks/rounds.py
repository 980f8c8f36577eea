"""One federated round from end to end, without the work in it: what the protocol itself costs.

Four trainers, a coordinator, a standby and one verifier run as the real nodes, all in one asyncio process, with signed HTTPS on loopback
between them, journals in SQLite and blobs in files (each flushed to disk); four warm worker processes do one step of SGD on a linear
model of 8 parameters. The verifier judges after the anchor, so it is off the measured path. Medians over rounds after a warm-up.

Claim one: the ledger is the in-memory twin, from the block that opens the round to the one that anchors it. Claim two: the ledger is the
embedded chain, a process of its own; from the receipt that opens the round to the receipt of the anchor. The floor beside them is what no
round can do without: four training calls side by side, then the four durable blobs and five durable journal entries that must follow one
another (the update at its trainer, at the coordinator; the model and the manifest at their second holder; the draft).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hansa.chain.embedded import Ready
from hansa.core.encoding import encode
from hansa.core.ports import Call, Ledger, Receipt, Signer
from hansa.learning.calls import Rows, TrainCall
from hansa.learning.strategies import FedAvg
from hansa.learning.strategy import LocalTraining
from hansa.model.architectures import Linear, Objective, initial
from hansa.node.client import ClientNode
from hansa.node.coordinator import CoordinatorNode
from hansa.node.verifier import VerifierNode
from hansa.runtime.journal import SqliteJournal
from hansa.runtime.workers import WorkerPool
from hansa.storage.local import LocalStore
from tests.node.world import FEATURES, NoPool, SharedPool, open_world, rows, trainer

ROUNDS, WARM_UP, TRAINERS = 40, 8, 4
OPENING, ANCHOR = ("start", "finalise"), "anchor"


class Timed:
    """A ledger that notes when the receipts of openings and anchors came."""

    def __init__(self, ledger: Ledger, notes: dict[str, list[float]]) -> None:
        self._ledger, self._notes = ledger, notes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def send(self, call: Call, signer: Signer, *, intent: str) -> Receipt:
        receipt = await self._ledger.send(call, signer, intent=intent)
        self._notes.setdefault(call.label, []).append(time.perf_counter())
        return receipt


async def played(home: Path, url: str, pools: list[WorkerPool], count: int) -> list[float]:
    """Seconds of each round from its opening to its anchor, in order."""
    notes: dict[str, list[float]] = {}
    async with open_world(home, home=home, url=url) as world:
        world.through = lambda ledger: Timed(ledger, notes)  # type: ignore[assignment,return-value]
        await world.add("client", ClientNode, NoPool())
        for name in ("coordinator", "standby"):
            await world.add(name, CoordinatorNode, NoPool())
        for number, pool in enumerate(pools):
            await world.add(f"t{number}", trainer(number), SharedPool(pool))
        await world.add("v0", VerifierNode, SharedPool(pools[0]))
        job = await world.post(
            rounds=count, milestones=1, trainers=TRAINERS, quorum=TRAINERS, verifiers=1, local=LocalTraining(rate=0.1, batch=8, steps=1)
        )
        await world.until(lambda: len(world.state(job).final) == count, f"{count} rounds", seconds=120.0)
    opened = sorted(moment for label in OPENING for moment in notes[label])
    # The last opening is the end of the job; every other one begins the round whose anchor follows it.
    return [anchored - start for start, anchored in zip(opened, sorted(notes[ANCHOR]), strict=False)]


@asynccontextmanager
async def embedded(home: Path) -> AsyncIterator[str]:
    """The embedded chain as a process of its own; its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hansa.chain.embedded", "--home", str(home), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield msgspec.json.decode(await process.stdout.readline(), type=Ready).url
    finally:
        process.terminate()
        await process.wait()


async def floor(folder: Path, pools: list[WorkerPool]) -> float:
    """Median seconds of training and disk alone, nobody else involved."""
    architecture, held = Linear(FEATURES, 1), rows(0)
    store, journal = LocalStore(folder / "blobs"), SqliteJournal(folder / "journal.sqlite")
    local = LocalTraining(rate=0.1, batch=8, steps=1)
    call = encode(TrainCall(architecture, Objective.BINARY, FedAvg(local), 1, Rows.of("floor", held), attached=True))
    buffers = [initial(architecture, 7).vector.tobytes(), held.features.tobytes(), held.labels.tobytes()]
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        await asyncio.gather(*(pool.run("train", call, buffers, timeout=60.0) for pool in pools))
        for _ in range(4):
            await store.put(os.urandom(200))
            await asyncio.to_thread(journal.append, "floor", bytes(400))
        await asyncio.to_thread(journal.append, "floor", bytes(400))
        times.append(time.perf_counter() - start)
    journal.close()
    return statistics.median(times)


def claim(name: str, seconds: list[float], least: float, bar: float) -> dict[str, object]:
    value = statistics.median(seconds[WARM_UP:]) * 1000
    against = f"training and disk alone: {least * 1000:.3g} ms"
    return {
        "claim": name,
        "value": value,
        "unit": "ms",
        "against": against,
        "ratio": value / least / 1000,
        "bar": bar,
        "holds": value < bar,
    }


async def measure(folder: Path) -> list[dict[str, object]]:
    pools = [WorkerPool("hansa.learning.worker", 1, "cpu") for _ in range(TRAINERS)]
    await asyncio.gather(*(pool.start() for pool in pools))
    try:
        least = await floor(folder / "floor", pools)
        memory = await played(folder / "memory", "", pools, ROUNDS + WARM_UP)
        async with embedded(folder / "chain") as url:
            chain = await played(folder / "embedded", url, pools, ROUNDS + WARM_UP)
    finally:
        for pool in pools:
            await pool.close()
    return [
        claim("a trivial round of four sites without the chain, p50", memory, least, 50.0),
        claim("a trivial round of four sites with the embedded chain, p50", chain, least, 250.0),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = uvloop.run(measure(Path(folder)))
    for result in results:
        print(json.dumps(result) if options.json else f"{result['claim']}: {result['value']:.3g} {result['unit']}, bar {result['bar']}")
    return 0 if all(result["holds"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
