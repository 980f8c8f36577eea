"""The client of a job: posts it, serves its blobs until others hold them, opens acceptance shards, and looks at every model itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hansa.core.errors import HansaError, ProtocolError
from hansa.core.types import Address, BlobRef
from hansa.learning.metrics import Evaluation
from hansa.market.acceptance import Sealed
from hansa.model.architectures import Lora, merge
from hansa.model.state import ModelState
from hansa.node.beginning import frozen_model
from hansa.node.node import Node, Parts
from hansa.rounds import duties
from hansa.rounds.client import client_duties
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState


class ClientNode(Node):
    """Follows its own jobs; `sealed` holds the secrets of each job's acceptance shards, whose blobs are in the store."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.sealed: dict[int, Sealed] = {}

    def owed(self, job: JobState) -> Sequence[Duty]:
        if job.client != self.account:
            return []
        sealed = self.sealed.get(job.id)
        return client_duties(job, self.account, len(sealed.shards) if sealed else 0, self.now())

    async def perform(self, duty: Duty) -> None:
        match duty:
            case duties.OpenShard():
                await self._open_shard(self.job(duty.job), duty)
            case _:
                await super().perform(duty)

    async def _open_shard(self, job: JobState, duty: duties.OpenShard) -> None:
        """Bring the shard to every verifier first: a shard that is open on the ledger must be there to be measured on."""
        sealed = self.sealed[job.id]
        shard = sealed.shards[duty.milestone]
        data = await self.blobs.own(shard.ref)
        reached = 0
        for verifier in job.verifiers:
            try:
                await self.blobs.bring(job, shard.ref, data, self.until(job), Address(verifier), open=True)
                reached += 1
            except HansaError as error:
                self._failed(duty, error, 0)
        if reached < job.two_thirds():
            raise ProtocolError(f"only {reached} of {len(job.verifiers)} verifiers took the shard; it is opened once two thirds have it")
        call = self.parts.contracts.acceptance.open_shard(
            job.id, duty.milestone, shard.ref.digest, shard.salt, tuple(sealed.proof(duty.milestone))
        )
        await self.send(call, duty)

    async def offer(self, data: bytes) -> BlobRef:
        """Store a blob of a job that is about to be posted, readable by whoever may talk to this node."""
        return await self.blobs.keep(0, data, 1 << 40, open=True)

    async def take(self, job: JobState) -> ModelState:
        """The last model, an adapter's merged into the model that it adapts; ProtocolError while rounds are to come."""
        if len(job.final) < job.terms.rounds:
            raise ProtocolError(f"job {job.id} has {len(job.final)} of {job.terms.rounds} final rounds; its model is not finished")
        spec, _ = await self.spec(job)
        model = await self.model(job, spec, job.terms.rounds + 1)
        if not isinstance(spec.architecture, Lora):
            return model
        frozen = await frozen_model(self.blobs, spec, self.holders(job))
        return await asyncio.to_thread(merge, spec.architecture, frozen, model)

    async def evaluate(self, job: JobState, number: int) -> Evaluation:
        """The model after final round `number` on the job's public progress rows."""
        spec, _ = await self.spec(job)
        state = await self.model(job, spec, number + 1)
        progress = await self.blobs.get(spec.progress, self.holders(job))
        return await self.measure(job, spec, state, progress)
