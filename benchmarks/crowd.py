"""A thousand light trainers over real transport: what a round of them costs the coordinator in memory, time and processor.

A whole network of processes runs on loopback: the embedded chain, the coordinator, a standby, three verifiers, the client in this process,
and the trainers in four processes. Each trainer has its own key, stake, seat, certificate and connection, signs its envelopes and updates
and fetches its blobs; what it sends is drawn, not trained (`simulation.crowd`). A trainer's place on the ledger takes six transactions: its
stake is paid to it, approved and locked, it consents, registers and enrols. One job of three rounds, each of which has to have everybody's
update. The coordinator's memory is its proportional set size, "before" when everybody is registered and the job is not posted yet.

A last figure is the sum alone, without any network: a round of a thousand updates of 65,536 weights that lie on disk, in a process of its
own, beside the bytes that the same updates take in memory together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil
import uvloop
from msgspec.structs import replace

from hansa.chain import deployment
from hansa.chain.deployment import Contracts
from hansa.chain.ledger import JsonRpcLedger
from hansa.core.clock import SystemClock
from hansa.core.encoding import sha256
from hansa.core.types import Address
from hansa.identity.statements import UpdateStatement
from hansa.identity.typed import Domain
from hansa.market.order import Seats, Times
from hansa.model.architectures import Linear, initial
from hansa.model.update import Update
from hansa.rounds.assemble import Standing, outcome
from hansa.rounds.job import JobState, Phase
from hansa.rounds.manifest import Accepted
from hansa.runtime.children import line
from hansa.runtime.journal import MemoryJournal
from hansa.runtime.shutdown import on_signal
from hansa.sdk.client import Client, open_client
from hansa.simulation.crowd import Crowd, key_of, over_https
from hansa.simulation.hospitals import patients
from hansa.simulation.network import Network
from hansa.simulation.plan import TOKEN, hospital_order, hospital_plan
from hansa.simulation.study import schema
from tests.rounds.logistic import DATASET, SPEC, job

TRAINERS, PROCESSES, ROUNDS = 1_000, 4, 3
STAKE = 100 * TOKEN
AT_ONCE, PAID_AT_ONCE = 16, 100
"""Trainers of one process that come onto the ledger at a time, and stakes that the founder pays at a time."""
PATIENCE, WINDOW = 240, 120
LIMIT = 600.0
"""Seconds for the whole job."""
SUMMED, WEIGHTS, SHARE = 1_000, 1 << 16, 0.1
"""The sum alone; and the share of its updates' bytes that it may need in memory."""


class Look(NamedTuple):
    """The coordinator at one moment: seconds on the clock, processor seconds it has used, proportional and resident set size in bytes."""

    at: float
    cpu: float
    pss: int
    rss: int


class Watch:
    """Looks at one process four times a second."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.looks: list[Look] = []

    def look(self) -> Look:
        times, memory = self._process.cpu_times(), self._process.memory_full_info()
        self.looks.append(Look(time.perf_counter(), times.user + times.system, memory.pss, memory.rss))
        return self.looks[-1]

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        async def watch() -> None:
            while True:
                self.look()
                await asyncio.sleep(0.25)

        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            task.cancel()


async def house(first: int, count: int, folder: Path, url: str, placed_file: Path) -> None:
    """One process of the crowd: trainers `first` and on; says "ready" when all of them stand on the ledger."""
    stop, clock = on_signal(), SystemClock()
    ledger = await JsonRpcLedger.open([url], MemoryJournal())
    placed = await deployment.load(ledger, placed_file)
    domain = Domain(placed.chain_id, Contracts.of(placed).rounds.address)
    places = asyncio.Semaphore(AT_ONCE)
    async with Crowd(ledger, placed, clock, schema(patients().columns), over_https(folder, domain, clock)) as crowd:

        async def come(number: int) -> None:
            async with places:
                await crowd.add(number, stake=STAKE)

        await asyncio.gather(*(come(number) for number in range(first, first + count)))
        print("ready", flush=True)
        await stop.wait()


async def settle_in(network: Network, trainers: int) -> None:
    """Pay every trainer its stake, then start the crowd's processes."""

    async def pay(number: int) -> None:
        grant = network.contracts.token.transfer(key_of(number).address, STAKE)
        await network.ledger.send(grant, network.founder, intent=f"crowd/{number}")

    for paid in range(0, trainers, PAID_AT_ONCE):
        await asyncio.gather(*(pay(number) for number in range(paid, min(paid + PAID_AT_ONCE, trainers))))

    async def start(place: int) -> None:
        first, end = (trainers * each // PROCESSES for each in (place, place + 1))
        command = [sys.executable, __file__, "--house", str(first), str(end - first), "--chain", network.chain_url]
        command += ["--deployment", str(network.deployment_file), "--folder", str(network.home / "crowd")]
        await network.children.start(f"crowd-{place}", command, ready=line("^ready"), timeout=LIMIT)

    await asyncio.gather(*(start(place) for place in range(PROCESSES)))


async def played(client: Client, number: int, watch: Watch) -> list[tuple[Look, Look, JobState]]:
    """Each round's opening and anchor as this process hears of them, with the state after the anchor."""
    opened, rounds = dict[int, Look](), list[tuple[Look, Look, JobState]]()
    async with asyncio.timeout(LIMIT):
        while len(client.job(number).final) < ROUNDS:
            state = client.job(number)
            if state.phase is Phase.OPEN and state.round not in opened:
                opened[state.round] = watch.look()
            if state.anchor is not None and state.round == len(rounds) + 1:
                rounds.append((opened[state.round], watch.look(), state))
            if state.phase is Phase.CLOSED:
                sys.exit(f"the job closed after {len(rounds)} rounds, for reason {state.closed}")
            await client.follower.change(1.0)
    return rounds


async def crowd(home: Path, trainers: int, say: bool) -> list[dict[str, object]]:
    began = time.perf_counter()

    def tell(text: str) -> None:
        if say:
            print(f"{time.perf_counter() - began:6.1f} s  {text}", file=sys.stderr, flush=True)

    plan = hospital_plan(home)
    plan = replace(plan, members=tuple(member for member in plan.members if member.role != "trainer"))
    columns = patients().columns
    times = Times(enrol=20 + trainers // 15, patience=PATIENCE, window=WINDOW, deadline=3_600)
    order = replace(
        hospital_order(columns), rounds=ROUNDS, milestones=1, seats=Seats(trainers=trainers, quorum=min(trainers, 255)), times=times
    )
    async with Network(plan) as network:
        tell("the network is up")
        await settle_in(network, trainers)
        tell(f"{trainers} trainers stand on the ledger")
        config = network.config_path("client")
        async with open_client(config) as client:
            watch = Watch(network.children["coordinator"].pid)
            tell(f"coordinator is process {network.children['coordinator'].pid}")
            before = watch.look()
            async with watch.watching():
                number = await client.post(order, config.parent)
                while client.job(number).phase is Phase.ENROLLING:
                    await client.follower.change(1.0)
                    tell(f"{len(client.job(number).trainers)} enrolled")
                rounds = await played(client, number, watch)
                for place, (opened, anchored, state) in enumerate(rounds, 1):
                    updates = state.anchor.accepted if state.anchor else 0
                    tell(f"round {place}: {updates} updates, {anchored.at - opened.at:.1f} s, CPU {anchored.cpu - opened.cpu:.2f} s")
            after = watch.look()
            tell("the last round is final")
        tell("the client has ended")
    tell("everybody has ended")
    return [*figures(trainers, before, watch.looks, after, rounds), sum_alone()]


def figures(
    trainers: int, before: Look, looks: list[Look], after: Look, rounds: list[tuple[Look, Look, JobState]]
) -> list[dict[str, object]]:
    peak = max(looks, key=lambda look: look.pss)
    whole = all(state.anchor is not None and state.anchor.accepted == trainers for _, _, state in rounds)
    name = f"{trainers} trainers over HTTPS"
    mib = 1 << 20
    growth = ", ".join(f"{anchored.pss / mib:.0f}" for _, anchored, _ in rounds)
    each = (peak.pss - before.pss) / trainers / 1024
    seconds = statistics.median(anchored.at - opened.at for opened, anchored, _ in rounds)
    cpu = statistics.median(anchored.cpu - opened.cpu for opened, anchored, _ in rounds) / trainers * 1e3
    return [
        claim(f"{name}: rounds anchored with every update", len(rounds), "rounds", None, ROUNDS, len(rounds) == ROUNDS and whole),
        claim(f"{name}: coordinator's memory before (PSS)", before.pss / mib, "MiB", f"resident: {before.rss / mib:.0f} MiB"),
        claim(
            f"{name}: coordinator's memory at its peak (PSS)",
            peak.pss / mib,
            "MiB",
            f"resident: {peak.rss / mib:.0f} MiB; at the anchors: {growth}",
        ),
        claim(f"{name}: coordinator's memory after (PSS)", after.pss / mib, "MiB", f"resident: {after.rss / mib:.0f} MiB"),
        claim(f"{name}: coordinator's memory for each, at the peak", each, "KiB"),
        claim(f"{name}: a round from its opening to its anchor, median", seconds, "s"),
        claim(f"{name}: coordinator's CPU time for each update, median", cpu, "ms"),
    ]


class OnDisk(Mapping[bytes, bytes]):
    """Blobs by digest, each read when it is asked for."""

    def __init__(self, paths: dict[bytes, Path]) -> None:
        self._paths = paths

    def __getitem__(self, digest: bytes) -> bytes:
        return self._paths[digest].read_bytes()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def sum_in_this_process(folder: Path) -> int:
    """Bytes by which this process's peak grows while `outcome` makes a round's result of `SUMMED` updates of `WEIGHTS` weights."""
    architecture = Linear(WEIGHTS - 1)
    spec, base = replace(SPEC, architecture=architecture, max_weight=1), initial(architecture, 7)
    state = job()
    form, drawn = spec.update_format(state), np.random.default_rng(1)
    accepted, paths = [], {}
    for number in range(SUMMED):
        values = drawn.integers(-1000, 1000, WEIGHTS).astype(np.int16)
        blob = form.encode(Update(spec.layout, spec.pipeline.grid.scales, values, 1), DATASET)
        paths[sha256(blob)] = folder / str(number)
        paths[sha256(blob)].write_bytes(blob)
        said = UpdateStatement(state.id, 1, Address(f"0x{number:040x}"), state.base, sha256(blob), len(blob), 1, DATASET)
        accepted.append(Accepted(said, bytes(65)))
    outcome(spec, state, Standing(base), accepted[:1], OnDisk(paths), accepted[0].statement.trainer)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew at what is resident now
    before = peak()
    outcome(spec, state, Standing(base), accepted, OnDisk(paths), accepted[0].statement.trainer)
    return peak() - before


def peak() -> int:
    """The most memory in bytes that this process had resident."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def sum_alone() -> dict[str, object]:
    ran = subprocess.run([sys.executable, __file__, "--sum"], capture_output=True, text=True, check=True, timeout=LIMIT)
    grown, whole, mib = int(ran.stdout), SUMMED * WEIGHTS * 2, 1 << 20
    text = f"the sum of {SUMMED} updates of {WEIGHTS} weights: memory it adds"
    found = claim(text, grown / mib, "MiB", f"the updates together: {whole / mib:.0f} MiB", SHARE * whole / mib, grown <= SHARE * whole)
    return {**found, "ratio": grown / whole}


def claim(
    text: str, value: float, unit: str, against: str | None = None, bar: float | None = None, holds: bool | None = None
) -> dict[str, object]:
    return {"claim": text, "value": value, "unit": unit, "against": against, "ratio": None, "bar": bar, "holds": holds}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object per claim and line")
    parser.add_argument("--trainers", type=int, default=TRAINERS)
    parser.add_argument("--house", type=int, nargs=2, metavar=("FIRST", "COUNT"), help=argparse.SUPPRESS)
    parser.add_argument("--sum", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--chain", help=argparse.SUPPRESS)
    parser.add_argument("--deployment", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sum:
        with tempfile.TemporaryDirectory() as folder:
            print(sum_in_this_process(Path(folder)))
        return 0
    if options.house:
        first, count = options.house
        uvloop.run(house(first, count, options.folder, options.chain, options.deployment))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        claims = uvloop.run(crowd(options.folder or Path(folder), options.trainers, not options.json))
    for one in claims:
        print(json.dumps(one) if options.json else f"{one['claim']}: {one['value']:.4g} {one['unit']} ({one['against']})")
    return 0 if all(one["holds"] is not False for one in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
