"""Blobs: naming, storing, encrypting and verified fetching, each beside its floor in the same run.

The floors: one sha256 pass over the same bytes; a bare write, fsync and rename; one AES-256-GCM call over the whole; sha256 and write.
Measured in turn, medians of rounds; GB/s of content.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hansa.storage import unixfs
from hansa.storage.encrypted import encrypt
from hansa.storage.fetch import StoreSource, fetch
from hansa.storage.local import LocalStore
from hansa.storage.memory import MemoryStore

SIZE = 128 << 20
ROUNDS = 5


def compare(name: str, against: str, bar: float, ours: Callable[[int], object], floor: Callable[[int], object]) -> dict[str, object]:
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS):
        for kept, call in zip(times, (ours, floor), strict=True):
            start = time.perf_counter()
            call(number)
            kept.append(time.perf_counter() - start)
    mine, theirs = (SIZE / statistics.median(kept) / 1e9 for kept in times)
    return {
        "claim": name,
        "value": mine,
        "unit": "GB/s",
        "against": f"{against}: {theirs:.3g} GB/s",
        "ratio": mine / theirs,
        "bar": bar,
        "holds": mine / theirs >= bar,
    }


def measure(folder: Path) -> list[dict[str, object]]:
    data = bytearray(os.urandom(SIZE))
    store = LocalStore(folder / "store")
    holder = MemoryStore()
    ref = asyncio.run(holder.put(bytes(data)))
    sources = [StoreSource(name, holder, ref) for name in ("one", "two")]

    def changed(number: int) -> bytearray:
        data[:8] = number.to_bytes(8, "big")
        return data

    def bare_store(number: int) -> None:
        hashlib.sha256(data).digest()
        path = folder / f"bare{number}"
        with path.with_suffix(".part").open("wb") as file:
            file.write(changed(number))
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".part").replace(path)

    return [
        compare("naming a blob", "one sha256", 0.8, lambda _: unixfs.root(data), lambda _: hashlib.sha256(data).digest()),
        compare(
            "encrypting a blob per chunk",
            "one AES-256-GCM call",
            0.4,
            lambda _: encrypt(data),
            lambda _: AESGCM(bytes(32)).encrypt(bytes(12), bytes(data), None),
        ),
        compare(
            "storing a blob durably",
            "sha256, write, fsync, rename",
            0.5,
            lambda number: asyncio.run(store.put(memoryview(changed(number)))),
            bare_store,
        ),
        compare(
            "verified fetch from two holders in memory",
            "sha256, write, fsync, rename",
            0.4,
            lambda number: asyncio.run(fetch(ref, sources, folder / f"fetched{number}")),
            lambda number: bare_store(number + ROUNDS),
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object per claim and line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        claims = measure(Path(folder))
    for one in claims:
        print(
            json.dumps(one)
            if options.json
            else f"{one['claim']}: {one['value']:.3g} {one['unit']}; {one['against']} (ratio {one['ratio']:.2f})"
        )
    return 0 if all(one["holds"] for one in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
