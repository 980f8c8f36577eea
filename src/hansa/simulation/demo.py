"""The demo: four hospitals train one model on a real chain between real processes, one dies and returns, a coordinator lies and pays."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from hansa.catalog.models import Version, approve, publish
from hansa.chain.bindings import structs
from hansa.chain.events import Event
from hansa.core.clock import SystemClock
from hansa.core.errors import ConfigError, ProtocolError
from hansa.core.types import BlobRef
from hansa.learning.metrics import Evaluation
from hansa.market.acceptance import seal
from hansa.market.posting import post
from hansa.model import codec
from hansa.monitoring.audit import audit
from hansa.node.client import ClientNode
from hansa.node.compose import compose
from hansa.node.config import load_node
from hansa.rounds.job import JobState, Phase
from hansa.rounds.spec import write_spec
from hansa.simulation.adversary_process import command
from hansa.simulation.balances import Books, read_books
from hansa.simulation.hospitals import Patients, patients
from hansa.simulation.network import Network
from hansa.simulation.plan import TOKEN, NetworkPlan, hospital_plan
from hansa.simulation.study import Comparison, Held, first_model, hold, specification
from hansa.simulation.telling import Telling, money
from hansa.simulation.watcher import Watcher, watching

ROUNDS, MILESTONES = 6, 3
BUDGET = 900 * TOKEN
KILL_AT, LIE_AT = 2, 4
VICTIM = "san-marco"
LIAR = command("liar", LIE_AT)
PATIENCE, WINDOW = 40, 8


class DemoResult(msgspec.Struct, frozen=True):
    """What the run came to; `ok` when every check held."""

    ok: bool
    seconds: float
    memory: int
    model: str
    federated: float
    pooled: float
    alone: dict[str, float]
    rounds: int
    replaced: bool
    conserved: bool
    sound: bool
    approved: bool


def demo_plan(home: Path) -> NetworkPlan:
    """The hospitals' network, with a liar as first coordinator."""
    plan = hospital_plan(home)
    members = tuple(replace(each, command=LIAR) if each.name == "coordinator" else each for each in plan.members)
    return replace(plan, members=members)


async def run_demo(scene: str | None = None, *, home: Path | None = None, quiet: bool = False) -> DemoResult:
    """Run a scene (there is one, "hospitals") in a fresh folder, or in `home`; ConfigError for a scene that does not exist."""
    if scene not in (None, "hospitals"):
        raise ConfigError(f"there is no scene '{scene}'; there is: hospitals")
    if home is not None:
        return await Hospitals(home, Telling(quiet=quiet)).run()
    with tempfile.TemporaryDirectory(prefix="hansa-demo-") as folder:
        return await Hospitals(Path(folder), Telling(quiet=quiet)).run()


class Hospitals:
    """One run of the scene."""

    def __init__(self, home: Path, tell: Telling) -> None:
        self.home, self.tell = home, tell
        self.patients: Patients = patients()
        self.held: Held = hold(self.patients.client, MILESTONES)
        self.replaced = False
        self.memory = 0
        self.anchored: dict[tuple[int, int], bytes] = {}
        self._restarting: list[asyncio.Task[None]] = []

    async def run(self) -> DemoResult:
        started = time.monotonic()
        self.tell.title("A network of parties who do not trust each other")
        with self.tell.working("starting a chain, contracts and nine processes"):
            network = Network(demo_plan(self.home))
            await network.__aenter__()
        try:
            self._introduce(network, time.monotonic() - started)
            async with self._client(network) as client:
                return await self._story(network, client, started)
        finally:
            await asyncio.gather(*self._restarting, return_exceptions=True)
            await network.stop()

    def _introduce(self, network: Network, seconds: float) -> None:
        self.tell.good(f"chain {network.plan.chain_id} and {len(network.deployment.contracts)} contracts up in {seconds:.1f} s")
        for name, clinic in self.patients.hospitals.items():
            ill = clinic.labels.mean()
            self.tell.say(f"{name:<14} {len(clinic.labels):>4} patients, {ill:.0%} malignant; its rows stay in its own folder and process")
        self.tell.say(f"{'client':<14} {len(self.patients.client.labels):>4} patients that no hospital has, for progress and acceptance")
        self.tell.say("coordinator and standby, three verifiers; everyone has stake to lose")

    @asynccontextmanager
    async def _client(self, network: Network) -> AsyncIterator[ClientNode]:
        config = network.config_path("client")
        client = ClientNode(await compose(load_node(config), config.parent, SystemClock()))
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        task = asyncio.create_task(client.run(stop, ready.set_result))
        await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        try:
            yield client
        finally:
            stop.set()
            await asyncio.gather(task, return_exceptions=True)

    async def _books(self, network: Network) -> Books:
        accounts = {name: network.account(name) for name in network.members} | {"treasury": network.founder.address}
        return await read_books(network.ledger, network.contracts, accounts, int(network.deployment.parameters.supply))

    async def _story(self, network: Network, client: ClientNode, started: float) -> DemoResult:
        before = await self._books(network)
        with self.tell.working("training each hospital alone, and all rows in one place, to compare with later"):
            pooled, alone = await self._without_network(client)
        async with watching(network.ledger, network.deployment) as watcher:
            job = await self._post(network, client)
            self.tell.title("Rounds: every line is one transaction on the chain, recomputed by verifiers before it counts")
            self.tell.round_head()
            state = await self._watch(network, client, watcher, job)
        self.tell.title("Acceptance: measured on sealed shards that the client opened only now")
        approved = await self._accept(network, client, job)
        self.tell.title("Money")
        after = await self._close(network, client, job)
        self.tell.balances(before, after)
        conserved = after.conserved and before.conserved and after.escrow == 0 and after.locked == 0
        self.tell.check(conserved, f"conserved: issued = owned + burnt ({money(after.burnt)}); nothing left in escrow, no stake locked")
        sound = await self._audit(network, client, state)
        self.tell.title("Was it worth it? Accuracy on all of the client's patients")
        federated = await self._with_network(client, state, pooled, alone)
        accuracy = {name: each.accuracy or 0.0 for name, each in alone.items()}
        average, mark, reached = sum(accuracy.values()) / len(accuracy), pooled.accuracy or 0.0, federated.accuracy or 0.0
        worth = self.tell.check(reached > mark - 0.02, f"federated within 2 points of pooled: {reached:.1%} and {mark:.1%}")
        worth &= self.tell.check(reached > average, f"federated above the average hospital alone: {average:.1%}")
        seconds = time.monotonic() - started
        self.memory = max(self.memory, network.memory())
        self.tell.say(
            f"{seconds:.0f} s in all, {self.memory / 2**20:,.0f} MiB (PSS) for all {len(network.members) + 1} processes and their workers"
        )
        ok = worth and conserved and sound and approved and self.replaced and len(state.final) == ROUNDS
        return DemoResult(
            ok=ok, seconds=seconds, memory=self.memory, model=state.final[-1].anchor.model.hex(), federated=reached, pooled=mark,
            alone=accuracy, rounds=len(state.final), replaced=self.replaced, conserved=conserved, sound=sound, approved=approved,
        )  # fmt: skip

    async def _post(self, network: Network, client: ClientNode) -> int:
        """Blobs first, then the money, then the terms."""
        contracts, columns = network.contracts, self.patients.columns
        genesis = await client.offer(codec.encode(first_model(columns)))
        progress = await client.offer(self.held.progress)
        sealed = seal(
            network.plan.chain_id, contracts.acceptance.address, client.account, [await client.offer(each) for each in self.held.sealed]
        )
        majority = max(self.patients.client.labels.mean(), 1 - self.patients.client.labels.mean())
        spec = await client.offer(write_spec(specification(columns, genesis, progress, majority)))
        now = await contracts.clock.time().read(network.ledger)
        terms = structs.Terms(
            spec=spec.digest, genesis=genesis.digest, acceptance=sealed.root(), rounds=ROUNDS, milestones=MILESTONES, quorum=3, verifiers=3,
            coordinator_bps=1_000, verifier_bps=1_500, enrol_by=now + 60, patience=PATIENCE, window=WINDOW, deadline=now + 600,
            trainer_stake=100 * TOKEN, coordinator_stake=3_000 * TOKEN, verifier_stake=1_000 * TOKEN, challenge_bond=50 * TOKEN,
            max_trainers=len(self.patients.hospitals),
        )  # fmt: skip
        ledger, signer = client.parts.ledger, client.parts.signer
        job = await post(
            ledger, contracts, signer, spec, [client.account], terms, [BUDGET // MILESTONES] * MILESTONES, intent=f"demo/{now}"
        )
        client.sealed[job] = sealed
        self.tell.title("The job")
        self.tell.say(f"job {job}: {ROUNDS} rounds in {MILESTONES} milestones, {money(BUDGET)} HANSA in escrow, deadline in 600 s")
        return job

    async def _watch(self, network: Network, client: ClientNode, watcher: Watcher, job: int) -> JobState:
        """Tell what the ledger tells until the last round is final, and cause the trouble; figures are measured beside, in order."""
        lines: asyncio.Queue[Awaitable[None] | None] = asyncio.Queue()
        telling = asyncio.create_task(_in_order(lines))
        opened = time.monotonic()
        while True:
            event, state = await watcher.next(120.0)
            if state.id != job:
                continue
            if state.anchor is not None:
                self.anchored.setdefault((state.round, state.attempt), event.transaction)
            match event.name:
                case "RoundOpened":
                    opened = time.monotonic()
                case "RoundAnchored" if state.round == KILL_AT:
                    await network.kill(VICTIM)
                    self._restarting.append(asyncio.create_task(network.restart(VICTIM)))
                    lines.put_nowait(self._killed())
                case "Challenged" | "Condemned":
                    lines.put_nowait(self._caught(network, event, state))
                case "RoundFinalised":
                    lines.put_nowait(self._tell_round(network, client, state, state.round, time.monotonic() - opened))
                    if state.round == ROUNDS:
                        break
                case "JobClosed":
                    raise ProtocolError(f"job {job} ended early (reason {state.closed}); see the logs in {self.home / 'logs'}")
        lines.put_nowait(None)
        await telling
        self.memory = max(self.memory, network.memory())
        return state

    async def _killed(self) -> None:
        self.tell.bad(f"{VICTIM} is killed (kill -9) and started again; the next round waits for it as long as patience lasts")

    async def _caught(self, network: Network, event: Event, state: JobState) -> None:
        number = event.args["round"]
        if event.name == "Challenged":
            who = network.name_of(str(event.args["challenger"]))
            self.tell.bad(f"round {number}: {who} recomputed another sum and bonds {money(state.terms.challenge_bond)} on it")
            return
        self.replaced = True
        liar, stake = network.name_of(str(event.args["coordinator"])), money(state.terms.coordinator_stake)
        self.tell.bad(f"round {number}: two thirds of the verifiers sign the true sum; {liar} loses its stake of {stake}")

    async def _tell_round(self, network: Network, client: ClientNode, state: JobState, number: int, seconds: float) -> None:
        final = state.final[number - 1]
        found = await client.evaluate(state, number)
        transaction = self.anchored[(number, final.anchor.attempt)]
        receipt = await network.ledger.receipt(transaction)
        self.tell.round_line(
            number, found.loss, found.accuracy or 0.0, f"{final.anchor.accepted} of {len(state.trainers)}",
            f"{final.seats.bit_count()} of {len(state.verifiers)}", receipt.gas_used if receipt else 0, seconds,
            network.name_of(final.coordinator), transaction.hex(),
        )  # fmt: skip

    async def _until(self, client: ClientNode, job: int, done: Callable[[JobState], bool], timeout: float = 120.0) -> JobState:
        end = time.monotonic() + timeout
        while not done(client.follower.jobs[job]):
            if time.monotonic() > end:
                raise ProtocolError(f"job {job} does not come to its end; see the logs in {self.home / 'logs'}")
            await client.follower.change(1.0)
        return client.follower.jobs[job]

    async def _accept(self, network: Network, client: ClientNode, job: int) -> bool:
        with self.tell.working("waiting for the last challenge window and the verifiers' measurements"):
            state = await self._until(client, job, lambda state: len({milestone for milestone, *_ in state.accepted}) == MILESTONES)
        final = state.final[-1]
        ledger, contracts, signer = client.parts.ledger, network.contracts, client.parts.signer
        version = Version(
            artifact=BlobRef(final.anchor.model, final.anchor.model_size), parents=(state.terms.genesis,), training=final.anchor.manifest,
            evaluation=dict(state.shards)[MILESTONES - 1],
        )  # fmt: skip
        model = await publish(ledger, contracts, signer, state.terms.spec, version, title="breast-cancer study", intent=f"model/{job}")
        approved = await approve(ledger, contracts, signer, model, version.artifact.digest, intent=f"model/{job}")
        return self.tell.check(
            approved, f"model {model}, version {version.artifact.digest.hex()[:16]}…, accepted by two thirds and approved"
        )

    async def _close(self, network: Network, client: ClientNode, job: int) -> Books:
        """Claims and releases are each party's own; the treasury collects its fees."""
        with self.tell.working("every party claims what it earned and gets its stake back"):
            state = await self._until(client, job, lambda state: state.phase is Phase.CLOSED)
            members = len(state.trainers) + len(state.coordinators) + len(state.candidates)
            await self._until(client, job, lambda state: len(state.released) == members)
            end = time.monotonic() + 30
            while (books := await self._books(network)).escrow and time.monotonic() < end:
                await client.follower.change(0.3)
        return books

    async def _audit(self, network: Network, client: ClientNode, state: JobState) -> bool:
        self.tell.title("Audit: how the model came to be, from data-set digests to the version")
        holders = client.holders(state)
        report = await audit(
            client.follower.jobs[state.id], len(state.final), lambda ref: client.blobs.get(ref, holders), client.parts.domain,
            client.follower.directory.account_of, self.anchored,
        )  # fmt: skip
        self.tell.lineage(report, {network.account(name): name for name in network.members})
        for finding in report.findings:
            if not finding.holds:
                self.tell.bad(f"{finding.what}: {finding.seen}")
        return self.tell.check(report.sound, f"{sum(each.holds for each in report.findings)} of {len(report.findings)} checks hold")

    def _comparison(self, client: ClientNode) -> Comparison:
        workers = client.parts.workers
        if workers is None:
            raise ProtocolError("the client was composed without workers")
        return Comparison(workers, self.patients, self.held, ROUNDS)

    async def _without_network(self, client: ClientNode) -> tuple[Evaluation, Mapping[str, Evaluation]]:
        comparison = self._comparison(client)
        return await comparison.pooled(), await comparison.alone()

    async def _with_network(self, client: ClientNode, state: JobState, pooled: Evaluation, alone: Mapping[str, Evaluation]) -> Evaluation:
        last = state.final[-1].anchor
        model = await client.blobs.get(BlobRef(last.model, last.model_size), client.holders(state))
        federated = await self._comparison(client).federated(model)
        sizes = {name: len(clinic.labels) for name, clinic in self.patients.hospitals.items()}
        rows = [(name, f"its own {sizes[name]} patients", each.accuracy or 0.0, each.loss) for name, each in alone.items()]
        rows.append(("pooled", f"all {sum(sizes.values())} in one place", pooled.accuracy or 0.0, pooled.loss))
        rows.append(("federated", "the same, none of which moved", federated.accuracy or 0.0, federated.loss))
        self.tell.comparison(rows)
        return federated


async def _in_order(lines: asyncio.Queue[Awaitable[None] | None]) -> None:
    while (line := await lines.get()) is not None:
        await line
