"""Tending a standing order: look, decide, post a child of the model that stands, and put it in its parent's place if it is better."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from msgspec.structs import replace

from hansa.catalog import models
from hansa.core.encoding import canonical, sha256
from hansa.core.errors import ProtocolError
from hansa.core.types import BlobRef
from hansa.identity.keystore import write_private
from hansa.learning import data, shards
from hansa.learning.examples import Examples
from hansa.learning.metrics import Evaluation
from hansa.learning.normalisation import standardised
from hansa.market.order import Order, Parent, prepare
from hansa.market.standing import Seen, StandingOrder, Tended, Wait, accepted, decide, posting, rejected
from hansa.model import codec
from hansa.rounds.job import JobState, Phase
from hansa.rounds.spec import PPM
from hansa.sdk.client import FINISHED, Client


class Tender:
    """One standing order of one client. Looks from whatever process continue each other: what is decided is written down before it is done.

    `folder` is what the order's paths are relative to.
    """

    def __init__(self, client: Client, standing: StandingOrder, folder: Path) -> None:
        self._client, self._standing, self._folder = client, standing, folder
        name = sha256(canonical(msgspec.to_builtins(standing))).hex()[:32]
        self._record = client.folder / "standing" / f"{name}.json"

    @property
    def tended(self) -> Tended:
        """What is remembered of it."""
        return msgspec.json.decode(self._record.read_bytes(), type=Tended) if self._record.exists() else Tended()

    def _remember(self, tended: Tended) -> None:
        write_private(self._record, msgspec.json.encode(tended))

    async def look(self) -> str:
        """One look: decide, post, or judge what was posted; a sentence about what was found.

        DataError when the held table does not fit the schema; the errors of posting when the child cannot be posted.
        """
        tended = self.tended
        if not tended.word:
            decision = await self._decide(tended)
            if isinstance(decision, str):
                return decision
            tended = decision
        order = replace(self._standing.order, held=replace(self._standing.order.held, path=self._snapshot(tended.word).name))
        if not tended.job:
            parent = await self._parent(tended, order) if tended.version else None
            tended = replace(tended, job=await self._client.post(order, self._record.parent, again=tended.word, parent=parent))
            self._remember(tended)
            return f"job {tended.job} is posted, from {'version ' + tended.version[:16] if parent else 'a new model'}"
        return await self._judge(tended, order)

    async def _decide(self, tended: Tended) -> str | Tended:
        held = self._folder / self._standing.order.held.path
        rows = await asyncio.to_thread(data.read, held, self._standing.order.data_schema)
        now = int(self._client.node.now())
        right = 0.0
        if tended.version:
            recent = standardised(rows, self._standing.order.data_schema).newest(self._standing.recent)
            right = await self._share(tended, recent)
        decision = decide(self._standing, tended, Seen(now, len(rows), right))
        if isinstance(decision, Wait):
            return decision.reason + (f"; again in {decision.until - now} s" if decision.until else "")
        word = f"{now}-{len(rows)}"
        # The rows as they are now: what is posted must stay the same however often posting is taken up again.
        write_private(self._snapshot(word), held.read_bytes())
        tended = posting(self._standing, tended, Seen(now, len(rows), right), word)
        self._remember(tended)
        return tended

    def _snapshot(self, word: str) -> Path:
        return self._record.with_name(f"{self._record.stem}-{word}{Path(self._standing.order.held.path).suffix}")

    async def _parent(self, tended: Tended, order: Order) -> Parent:
        """The model that stands, with how it does on the rows that the child will be judged by."""
        prepared = await asyncio.to_thread(prepare, order, self._record.parent)
        found = [await self._evaluate(tended, shards.read(sealed)) for sealed in prepared.sealed]
        right, rows = sum(each.correct or 0 for each in found), sum(each.rows for each in found)
        return Parent(bytes.fromhex(tended.version), await self._model(tended), PPM * right // rows)

    async def _judge(self, tended: Tended, order: Order) -> str:
        client, state = self._client, self._client.job(tended.job)
        final = state.final[-1].anchor if state.final else None
        if final is not None and any(model == final.model for _, model in state.accepted):
            return await self._accept(tended, order, state)
        if state.phase is not Phase.CLOSED:
            return f"job {state.id} is under way: {len(state.final)} of {state.terms.rounds} rounds are final"
        # Verifiers that fail a model say nothing: after a window more nobody will say anything.
        now = client.node.now()
        firm_at = state.firm_at(0)
        if state.closed == FINISHED and firm_at is not None and now < firm_at + 2 * state.terms.window:
            return f"job {state.id} is finished; its verifiers measure the model"
        self._remember(rejected(tended))
        stays = f"version {tended.version[:16]} stays" if tended.version else "there is still no version"
        return f"job {state.id} ended without a better model; {stays}"

    async def _accept(self, tended: Tended, order: Order, state: JobState) -> str:
        client, signer = self._client, self._client.node.parts.signer
        parents = (bytes.fromhex(tended.version),) if tended.version else ()
        version = client.version(state, *parents)
        artifact = version.artifact
        if tended.model:
            intent = f"succeed/{state.id}"
            await models.succeed(client.ledger, client.contracts, signer, tended.model, version, intent=intent)
            number = tended.model
        else:
            number = await client.publish(state.id, order.title)
        child = replace(tended, version=artifact.digest.hex(), size=artifact.size)
        prepared = await asyncio.to_thread(prepare, order, self._record.parent)
        found = [await self._evaluate(child, shards.read(sealed), state) for sealed in prepared.sealed]
        share = sum(each.correct or 0 for each in found) / sum(each.rows for each in found)
        self._remember(accepted(tended, number, artifact.digest.hex(), artifact.size, share))
        place = f"takes the place of {tended.version[:16]}" if tended.version else "is the first"
        return f"version {artifact.digest.hex()[:16]} of model {number} {place}: {share:.1%} right on its sealed rows"

    async def _share(self, tended: Tended, rows: Examples) -> float:
        found = await self._evaluate(tended, rows)
        return (found.correct or 0) / found.rows

    async def _evaluate(self, tended: Tended, rows: Examples, state: JobState | None = None) -> Evaluation:
        """A version on some rows, in a worker."""
        state = state or self._made_by(tended)
        node = self._client.node
        spec, _ = await node.spec(state)
        model = codec.decode(await self._model(tended, state), spec.layout)
        return await node.measure(state, spec, model, shards.write(rows))

    async def _model(self, tended: Tended, state: JobState | None = None) -> bytes:
        state = state or self._made_by(tended)
        return await self._client.fetch(state.id, BlobRef(bytes.fromhex(tended.version), tended.size))

    def _made_by(self, tended: Tended) -> JobState:
        """The job whose last model the version is."""
        digest = bytes.fromhex(tended.version)
        for state in self._client.jobs.values():
            if state.final and state.final[-1].anchor.model == digest:
                return state
        raise ProtocolError(f"no job of this ledger made version {tended.version[:16]}; is this the right network?")
