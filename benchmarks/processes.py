"""Warm workers and the journal, each beside its floor in the same run.

A call to a warm worker against the standard library's process pool (pickle over a pipe), both asked from an asyncio loop; a durable append
against a bare write and fsync of the same bytes in the same folder. Measured in turn, medians.
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
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["PYTHONPATH"] = sys.path[0]

from hansa.runtime.journal import SqliteJournal
from hansa.runtime.workers import WorkerPool

SMALL_CALLS, LARGE_CALLS, APPENDS = 600, 7, 200
LARGE = 44 << 20
"""Bytes of an 11-million-parameter float32 model."""


def echo(data: bytes) -> bytes:
    return data


async def workers() -> list[dict[str, object]]:
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(1) as peer:
        async with WorkerPool("tests.runtime.handlers", 1, "cpu") as pool:
            claims = []
            for name, data, calls in (("100 bytes", os.urandom(100), SMALL_CALLS), ("44 MiB", os.urandom(LARGE), LARGE_CALLS)):
                ours, theirs = [], []
                for _ in range(calls):
                    start = time.perf_counter()
                    await pool.run("echo", b"", [data], timeout=60)
                    middle = time.perf_counter()
                    await loop.run_in_executor(peer, echo, data)
                    ours.append(middle - start)
                    theirs.append(time.perf_counter() - middle)
                bar = 1.0 if len(data) < 1000 else None
                claims.append(
                    claim(f"round trip to a warm worker, {name} there and back", ours, theirs, "standard library's process pool", bar)
                )
            return claims


def journal(folder: Path) -> list[dict[str, object]]:
    record = os.urandom(1000)
    kept = SqliteJournal(folder / "journal.db")
    with (folder / "bare").open("wb", buffering=0) as bare:

        def floor() -> None:
            bare.write(record)
            os.fsync(bare.fileno())

        ours, theirs = in_turn(lambda: kept.append("record", record), floor)
        batch, theirs_again = in_turn(lambda: kept.append_all([("record", record)] * 20), floor)
    kept.close()
    return [
        claim("durable append of 1000 bytes to the journal", ours, theirs, "write and fsync of the same bytes", None),
        claim("durable append of 20 records at once", batch, theirs_again, "write and fsync of one record", None),
    ]


def in_turn(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[list[float], list[float]]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(APPENDS):
        for kept, call in zip(times, (ours, theirs), strict=True):
            start = time.perf_counter()
            call()
            kept.append(time.perf_counter() - start)
    return times


def claim(name: str, ours: list[float], theirs: list[float], against: str, bar: float | None) -> dict[str, object]:
    value, floor = statistics.median(ours) * 1e3, statistics.median(theirs) * 1e3
    holds = bar is None or value < bar
    return {
        "claim": name,
        "value": value,
        "unit": "ms",
        "against": f"{against}: {floor:.3g} ms",
        "ratio": value / floor,
        "bar": bar,
        "holds": holds,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object per claim and line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        claims = asyncio.run(workers()) + journal(Path(folder))
    for one in claims:
        print(
            json.dumps(one)
            if options.json
            else f"{one['claim']}: {one['value']:.3g} {one['unit']}; {one['against']} (ratio {one['ratio']:.2f})"
        )
    return 0 if all(one["holds"] for one in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
