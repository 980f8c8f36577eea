"""Scene "hospitals": four hospitals train one model; one dies and returns, a coordinator lies and pays; money, model and lineage add up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping

import msgspec

from hansa.catalog.models import Version, approve, publish
from hansa.chain.events import Event
from hansa.core.errors import ProtocolError
from hansa.core.types import BlobRef
from hansa.learning.metrics import Evaluation
from hansa.monitoring.audit import audit
from hansa.rounds.job import JobState, Phase
from hansa.simulation.balances import Books
from hansa.simulation.plan import TOKEN
from hansa.simulation.scenes.stage import Stage
from hansa.simulation.study import hold
from hansa.simulation.telling import money
from hansa.simulation.watcher import Watcher, watching

ROUNDS, MILESTONES = 6, 3
BUDGET = 900 * TOKEN
KILL_AT, LIE_AT = 2, 4
VICTIM = "san-marco"


class TrainingResult(msgspec.Struct, frozen=True):
    """What the scene came to; `ok` when every check held."""

    ok: bool
    model: str
    federated: float
    pooled: float
    alone: dict[str, float]
    rounds: int
    replaced: bool
    conserved: bool
    sound: bool
    approved: bool


class Training:
    """One run of the scene."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.network, self.client, self.tell = stage, stage.network, stage.client, stage.tell
        self.held = hold(stage.patients.client, MILESTONES)
        self.replaced = False
        self.anchored: dict[tuple[int, int], bytes] = {}
        self._restarting: list[asyncio.Task[None]] = []

    async def run(self) -> TrainingResult:
        try:
            return await self._story()
        finally:
            await asyncio.gather(*self._restarting, return_exceptions=True)

    async def _story(self) -> TrainingResult:
        before = await self.stage.books()
        with self.tell.working("training each hospital alone, and all rows in one place, to compare with later"):
            comparison = self.stage.comparison(self.held, ROUNDS)
            pooled, alone = await comparison.pooled(), await comparison.alone()
        async with watching(self.network.ledger, self.network.deployment) as watcher:
            job = await self.stage.post(self.held, BUDGET, rounds=ROUNDS, milestones=MILESTONES)
            self.tell.title("The job")
            self.tell.say(f"job {job}: {ROUNDS} rounds in {MILESTONES} milestones, {money(BUDGET)} HANSA in escrow, deadline in 600 s")
            self.tell.title("Rounds: every line is one transaction on the chain, recomputed by verifiers before it counts")
            self.tell.round_head()
            state = await self._watch(watcher, job)
        self.tell.title("Acceptance: measured on sealed shards that the client opened only now")
        approved = await self._accept(job)
        self.tell.title("Money")
        after = await self._close(job)
        self.tell.balances(before, after)
        conserved = after.conserved and before.conserved and after.escrow == 0 and after.locked == 0
        self.tell.check(conserved, f"conserved: issued = owned + burnt ({money(after.burnt)}); nothing left in escrow, no stake locked")
        sound = await self._audit(state)
        self.tell.title("Was it worth it? Accuracy on all of the client's patients")
        federated = await self._with_network(state, pooled, alone)
        accuracy = {name: each.accuracy or 0.0 for name, each in alone.items()}
        average, mark, reached = sum(accuracy.values()) / len(accuracy), pooled.accuracy or 0.0, federated.accuracy or 0.0
        worth = self.tell.check(reached > mark - 0.02, f"federated within 2 points of pooled: {reached:.1%} and {mark:.1%}")
        worth &= self.tell.check(reached > average, f"federated above the average hospital alone: {average:.1%}")
        self.stage.weigh()
        ok = worth and conserved and sound and approved and self.replaced and len(state.final) == ROUNDS
        return TrainingResult(
            ok=ok, model=state.final[-1].anchor.model.hex(), federated=reached, pooled=mark, alone=accuracy, rounds=len(state.final),
            replaced=self.replaced, conserved=conserved, sound=sound, approved=approved,
        )  # fmt: skip

    async def _watch(self, watcher: Watcher, job: int) -> JobState:
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
                    await self.network.kill(VICTIM)
                    self._restarting.append(asyncio.create_task(self.network.restart(VICTIM)))
                    lines.put_nowait(self._killed())
                case "Challenged" | "Condemned":
                    lines.put_nowait(self._caught(event, state))
                case "RoundFinalised":
                    lines.put_nowait(self._tell_round(state, state.round, time.monotonic() - opened))
                    if state.round == ROUNDS:
                        break
                case "JobClosed":
                    raise ProtocolError(f"job {job} ended early (reason {state.closed}); see the logs in {self.network.home / 'logs'}")
        lines.put_nowait(None)
        await telling
        self.stage.weigh()
        return state

    async def _killed(self) -> None:
        self.tell.bad(f"{VICTIM} is killed (kill -9) and started again; the next round waits for it as long as patience lasts")

    async def _caught(self, event: Event, state: JobState) -> None:
        number = event.args["round"]
        if event.name == "Challenged":
            who = self.network.name_of(str(event.args["challenger"]))
            self.tell.bad(f"round {number}: {who} recomputed another sum and bonds {money(state.terms.challenge_bond)} on it")
            return
        self.replaced = True
        liar, stake = self.network.name_of(str(event.args["coordinator"])), money(state.terms.coordinator_stake)
        self.tell.bad(f"round {number}: two thirds of the verifiers sign the true sum; {liar} loses its stake of {stake}")

    async def _tell_round(self, state: JobState, number: int, seconds: float) -> None:
        final = state.final[number - 1]
        found = await self.client.evaluate(state, number)
        transaction = self.anchored[(number, final.anchor.attempt)]
        receipt = await self.network.ledger.receipt(transaction)
        self.tell.round_line(
            number, found.loss, found.accuracy or 0.0, f"{final.anchor.accepted} of {len(final.trainers)}",
            f"{final.seats.bit_count()} of {len(state.verifiers)}", receipt.gas_used if receipt else 0, seconds,
            self.network.name_of(final.coordinator), transaction.hex(),
        )  # fmt: skip

    async def _accept(self, job: int) -> bool:
        with self.tell.working("waiting for the last challenge window and the verifiers' measurements"):
            state = await self.stage.until(job, lambda state: len({milestone for milestone, *_ in state.accepted}) == MILESTONES)
        final = state.final[-1]
        ledger, contracts, signer = self.client.parts.ledger, self.network.contracts, self.client.parts.signer
        version = Version(
            artifact=BlobRef(final.anchor.model, final.anchor.model_size), parents=(state.terms.genesis,), training=final.anchor.manifest,
            evaluation=dict(state.shards)[MILESTONES - 1],
        )  # fmt: skip
        model = await publish(ledger, contracts, signer, state.terms.spec, version, title="breast-cancer study", intent=f"model/{job}")
        approved = await approve(ledger, contracts, signer, model, version.artifact.digest, intent=f"model/{job}")
        return self.tell.check(
            approved, f"model {model}, version {version.artifact.digest.hex()[:16]}…, accepted by two thirds and approved"
        )

    async def _close(self, job: int) -> Books:
        """Claims and releases are each party's own; the treasury collects its fees."""
        with self.tell.working("every party claims what it earned and gets its stake back"):
            state = await self.stage.until(job, lambda state: state.phase is Phase.CLOSED)
            members = len(state.trainers) + len(state.coordinators) + len(state.candidates)
            await self.stage.until(job, lambda state: len(state.released) == members)
            end = time.monotonic() + 30
            while (books := await self.stage.books()).escrow and time.monotonic() < end:
                await self.client.follower.change(0.3)
        return books

    async def _audit(self, state: JobState) -> bool:
        self.tell.title("Audit: how the model came to be, from data-set digests to the version")
        client, holders = self.client, self.client.holders(state)
        report = await audit(
            client.follower.jobs[state.id], len(state.final), lambda ref: client.blobs.get(ref, holders), client.parts.domain,
            client.follower.directory.account_of, self.anchored,
        )  # fmt: skip
        self.tell.lineage(report, {self.network.account(name): name for name in self.network.members})
        for finding in report.findings:
            if not finding.holds:
                self.tell.bad(f"{finding.what}: {finding.seen}")
        return self.tell.check(report.sound, f"{sum(each.holds for each in report.findings)} of {len(report.findings)} checks hold")

    async def _with_network(self, state: JobState, pooled: Evaluation, alone: Mapping[str, Evaluation]) -> Evaluation:
        federated = await self.stage.comparison(self.held, ROUNDS).federated(await self.stage.model_after(state, len(state.final)))
        sizes = {name: len(clinic.labels) for name, clinic in self.stage.patients.hospitals.items()}
        rows = [(name, f"its own {sizes[name]} patients", each.accuracy or 0.0, each.loss) for name, each in alone.items()]
        rows.append(("pooled", f"all {sum(sizes.values())} in one place", pooled.accuracy or 0.0, pooled.loss))
        rows.append(("federated", "the same, none of which moved", federated.accuracy or 0.0, federated.loss))
        self.tell.comparison(rows)
        return federated


async def _in_order(lines: asyncio.Queue[Awaitable[None] | None]) -> None:
    while (line := await lines.get()) is not None:
        await line
