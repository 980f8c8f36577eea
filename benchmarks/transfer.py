"""Bytes between two nodes over the project's own TLS server and client, beside a bare loopback socket in the same run.

Both sides are processes of their own. A blob from memory goes in signed ranges, four under way, into memory that was there before; the
floor is one blocking `sendall` into one `recv_into` of the same bytes. Rounds alternate, the ratio is the median of theirs. Ranges of one
leaf, as `storage.fetch` asks for them, are a second figure. Both ends of TLS are busy at once, so this needs two idle cores. The broken
download is real: the serving process is killed in the middle and a new one serves the rest from its store.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import uvloop

from hansa.core.clock import SystemClock
from hansa.core.encoding import decode, encode
from hansa.core.errors import BlobUnavailable
from hansa.core.types import Address, BlobRef, Envelope, Peer
from hansa.identity.certificate import NodeCertificate
from hansa.identity.keys import AccountKey
from hansa.identity.typed import Domain
from hansa.storage.fetch import Fetched, fetch
from hansa.storage.local import LocalStore
from hansa.storage.unixfs import LEAF
from hansa.transport.https import HttpsTransport

SIZE = 96 << 20
ROUNDS = 7
REPEATS = 4
PARALLEL = 4
RANGE = 8 * LEAF
REQUESTS = 2000
DOMAIN = Domain(31337, Address("0x" + "ab" * 20))


class Serving(NamedTuple):
    """What a serving process tells: how to reach it, its blob, its bare socket."""

    peer: Peer
    ref: BlobRef
    port: int


def transport(folder: Path) -> HttpsTransport:
    key = AccountKey.generate()
    certificate = NodeCertificate.load_or_create(folder, key.address, time.time())
    return HttpsTransport(key, DOMAIN, certificate, SystemClock(), admit=lambda _: True)


def bare_server(data: bytes) -> int:
    """A blocking socket that sends the data to whoever sends it one byte; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if connection.recv(1):
                    connection.sendall(data)

    threading.Thread(target=answer, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


async def serve(folder: Path, from_store: bool) -> None:
    data = (folder / "content").read_bytes()
    store = LocalStore(folder / "store")
    ref = await store.put(data)
    node = transport(folder / "server")

    async def echo(envelope: Envelope, body: bytes) -> bytes:
        return body

    async def outline(envelope: Envelope, body: bytes) -> bytes:
        return await store.outline(decode(body, BlobRef))

    async def memory(requester: Address, wanted: BlobRef, offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    async def disk(requester: Address, wanted: BlobRef, offset: int, length: int) -> bytes:
        return await store.read(wanted, offset, length)

    await node.serve({"echo": echo, "outline": outline}, disk if from_store else memory)
    print(encode(Serving(node.peer, ref, bare_server(data))).decode(), flush=True)
    await asyncio.Event().wait()


@contextmanager
def serving(folder: Path, *, from_store: bool) -> Iterator[tuple[Serving, Callable[[], None]]]:
    """A serving process, and how to kill it."""
    command = [sys.executable, __file__, "--serve", str(folder), *(["--from-store"] if from_store else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield decode(process.stdout.readline(), Serving), lambda: process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def bare(port: int, into: bytearray) -> float:
    """Seconds for the floor: the mean of several, so that both sides meet the machine's other load for about as long."""
    return statistics.mean(bare_once(port, into) for _ in range(REPEATS))


def bare_once(port: int, into: bytearray) -> float:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        view, received, start = memoryview(into), 0, time.perf_counter()
        connection.sendall(b"x")
        while received < SIZE:
            received += connection.recv_into(view[received:])
        return time.perf_counter() - start


async def ours(node: HttpsTransport, server: Serving, into: bytearray, step: int) -> float:
    """Seconds for the same bytes through the transport, in ranges of `step` bytes; the mean of several, too."""
    view = memoryview(into)

    async def work(places: Iterator[int]) -> None:
        for offset in places:
            view[offset : offset + step] = await node.fetch_range(server.peer, server.ref, offset, min(step, SIZE - offset))

    start = time.perf_counter()
    for _ in range(REPEATS):
        places = iter(range(0, SIZE, step))
        await asyncio.gather(*(work(places) for _ in range(PARALLEL)))
    return (time.perf_counter() - start) / REPEATS


def claim(
    text: str, value: float, unit: str, against: str | None, ratio: float | None, bar: float | None, holds: bool | None
) -> dict[str, object]:
    return {"claim": text, "value": value, "unit": unit, "against": against, "ratio": ratio, "bar": bar, "holds": holds}


async def measure_transfer(folder: Path) -> list[dict[str, object]]:
    into, digest = bytearray(SIZE), hashlib.sha256((folder / "content").read_bytes()).digest()
    node = transport(folder / "client")
    floors: list[float] = []
    times: dict[int, list[float]] = {RANGE: [], LEAF: []}
    trips: list[float] = []
    with serving(folder, from_store=False) as (server, _):
        await ours(node, server, into, RANGE)
        for _ in range(ROUNDS):
            floors.append(bare(server.port, into))
            into[:] = bytes(SIZE)
            for step, kept in times.items():
                kept.append(await ours(node, server, into, step))
            if hashlib.sha256(into).digest() != digest:
                sys.exit("the bytes that arrived are not those that were sent")
        for _ in range(REQUESTS):
            start = time.perf_counter()
            await node.request(server.peer, "echo", bytes(1024))
            trips.append(time.perf_counter() - start)
        await node.close()
    floor = f"bare loopback socket: {SIZE / statistics.median(floors) / 1e9:.3g} GB/s"
    ratios = {step: statistics.median(bottom / mine for bottom, mine in zip(floors, kept, strict=True)) for step, kept in times.items()}
    rates = {step: SIZE / statistics.median(kept) / 1e9 for step, kept in times.items()}
    trip = statistics.median(trips) * 1e3
    return [
        claim("a blob over TLS in signed ranges of 8 MiB", rates[RANGE], "GB/s", floor, ratios[RANGE], 0.35, ratios[RANGE] >= 0.35),
        claim("the same in ranges of one leaf (1 MiB)", rates[LEAF], "GB/s", floor, ratios[LEAF], None, None),
        claim("a signed request of 1 KiB and its answer, median", trip, "ms", None, None, 1.0, trip < 1.0),
    ]


class PeerSource:
    """The serving process as a holder; counts what it sent and calls `after` with the sum."""

    def __init__(self, node: HttpsTransport, server: Serving, after: Callable[[int], None]) -> None:
        self.name = server.peer.account
        self._node, self._server, self._after = node, server, after
        self.received = 0

    async def read(self, offset: int, length: int) -> bytes:
        data = await self._node.fetch_range(self._server.peer, self._server.ref, offset, length)
        self.received += len(data)
        self._after(self.received)
        return data

    async def outline(self) -> bytes:
        return await self._node.request(self._server.peer, "outline", encode(self._server.ref))


async def measure_resumption(folder: Path) -> dict[str, object]:
    node, target = transport(folder / "client"), folder / "target"

    async def attempt(break_at: int | None) -> tuple[PeerSource, Fetched | None]:
        with serving(folder, from_store=True) as (server, kill):

            def after(received: int) -> None:
                if break_at is not None and received >= break_at:
                    kill()

            source = PeerSource(node, server, after)
            try:
                return source, await fetch(server.ref, [source], target, parallel=PARALLEL)
            except BlobUnavailable:
                return source, None

    first, broken = await attempt(SIZE // 2)
    second, whole = await attempt(None)
    await node.close()
    if broken is not None or whole is None:
        sys.exit("the download was to break in the middle and to end at the second try")
    if hashlib.sha256(whole.path.read_bytes()).digest() != hashlib.sha256((folder / "content").read_bytes()).digest():
        sys.exit("the resumed download is not the blob")
    missing = SIZE - first.received
    ratio, bar = second.received / missing, 1.0
    text = f"a download broken after {first.received >> 20} of {SIZE >> 20} MiB resumes: sent the second time"
    return claim(text, second.received / (1 << 20), "MiB", f"missing: {missing >> 20} MiB", ratio, bar, ratio <= bar)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object per claim and line")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--from-store", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve(options.serve, options.from_store))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "content").write_bytes(os.urandom(SIZE))
        claims = [*uvloop.run(measure_transfer(folder)), uvloop.run(measure_resumption(folder))]
    for one in claims:
        print(
            json.dumps(one)
            if options.json
            else f"{one['claim']}: {one['value']:.3g} {one['unit']} ({one['against']}, ratio {one['ratio']})"
        )
    return 0 if all(one["holds"] is not False for one in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
