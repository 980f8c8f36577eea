"""The trainer: its rows stay in its worker process; what leaves is a clipped, rounded, signed update."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

import numpy as np

from hansa.core import frames
from hansa.core.encoding import decode, encode
from hansa.core.errors import DataError, HansaError, ProtocolError
from hansa.core.ports import Handler
from hansa.core.types import Address, BlobRef, Digest, Role
from hansa.identity.statements import UpdateStatement
from hansa.learning.calls import NeedRows, Rows, TrainCall, Trained, read_answer
from hansa.learning.examples import Examples
from hansa.learning.schema import Schema
from hansa.learning.strategy import derive_seed
from hansa.model.state import ModelState
from hansa.model.update import Update, quantise
from hansa.node.node import Node, Parts
from hansa.node.records import Made, Received
from hansa.rounds import duties
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted
from hansa.rounds.spec import JobSpec
from hansa.rounds.trainer import trainer_duties

log = logging.getLogger(__name__)

TRAIN_SECONDS = 3600.0


class TrainerNode(Node):
    """Owns one site's rows. `digest` is their salted digest; `disclose_rows` lets their number be the update's weight (R9)."""

    role = Role.TRAINER

    def __init__(self, parts: Parts, schema: Schema, rows: Examples, digest: Digest, *, disclose_rows: bool) -> None:
        super().__init__(parts)
        self._schema, self._rows, self._digest, self._disclose = schema, rows, digest, disclose_rows
        # The name under which workers keep the rows; it never leaves this machine.
        self._kept = Rows.of(digest.hex(), rows)

    def handlers(self) -> Mapping[str, Handler]:
        """None: a trainer only dials out, and there is nothing here to ask for."""
        return {}

    def ranges(self) -> None:
        """No part of any blob either."""
        return None

    def owed(self, job: JobState) -> Sequence[Duty]:
        if self.account not in job.trainers:
            return []
        return trainer_duties(job, self.account, self.book.trainer(job.id), self.now())

    async def check_eligible(self, job: JobState, spec: JobSpec) -> None:
        """The job's columns must be this site's; DataError names the first that is not."""
        ours, theirs = self._schema.columns, spec.data.columns
        if ours != theirs or self._schema.classes != spec.data.classes:
            different = next((a or b for a, b in zip((*ours, ""), (*theirs, ""), strict=False) if a != b), spec.data.label)
            raise DataError(f"job {job.id} wants other columns than this site has, the first being '{different}'; it is left alone")

    async def perform(self, duty: Duty) -> None:
        match duty:
            case duties.Train():
                await self._train(self.job(duty.job), duty)
            case duties.Submit():
                await self._submit(self.job(duty.job), duty)
            case duties.RegisterUpdate():
                await self._register(self.job(duty.job), duty)
            case _:
                await super().perform(duty)

    async def _train(self, job: JobState, duty: duties.Train) -> None:
        spec, ref = await self.spec(job)
        delta = await self.change(job, spec, duty.round, await self.model(job, spec, duty.round))
        values, saturated = quantise(spec.layout, delta, spec.scales, spec.bits)
        if saturated:
            log.warning("update clipped", extra={"duty": duty.name, "coordinates": saturated, "of": spec.layout.size})
        weight = min(len(self._rows), spec.max_weight) if self._disclose else 1
        format = spec.update_format(job)
        data = format.encode(Update(spec.layout, spec.scales, values, weight), self._digest)
        blob = await self.blobs.put(data)
        said = UpdateStatement(job.id, duty.round, self.account, duty.base, blob.digest, blob.size, weight, self._digest)
        made = Made(Accepted(said, said.sign(self.parts.domain, self.parts.signer)))
        await self.book.write(*self.blobs.guard(job.id, blob, self.until(job), open=False), made)

    async def change(self, job: JobState, spec: JobSpec, round: int, state: ModelState) -> np.ndarray:
        """How this site's training changes a model, float32 (d,)."""
        seed = derive_seed(spec.seed, round, self.account)
        return await self._delta(TrainCall(spec.architecture, spec.objective, spec.strategy, seed, self._kept), state.vector)

    async def _delta(self, call: TrainCall, vector: np.ndarray) -> np.ndarray:
        """Local minus global, float32; rows are sent to a worker once and kept there."""
        workers = self.parts.workers
        if workers is None:
            raise ProtocolError("this trainer was composed without workers")
        header, buffers = await workers.run("train", encode(call), [vector.tobytes()], timeout=TRAIN_SECONDS)
        answer = read_answer(header)
        if isinstance(answer, NeedRows):
            rows = [vector.tobytes(), self._rows.features.tobytes(), self._rows.labels.tobytes()]
            call = TrainCall(call.architecture, call.objective, call.strategy, call.seed, call.rows, attached=True)
            header, buffers = await workers.run("train", encode(call), rows, timeout=TRAIN_SECONDS)
            answer = read_answer(header)
        if not isinstance(answer, Trained):
            raise ProtocolError("the worker answered a training call with something else; restart the node")
        return np.frombuffer(buffers[0], "<f4").astype(np.float32, copy=False)

    async def _own(self, job: JobState, round: int, base: bytes) -> tuple[Accepted, bytes]:
        accepted = self.book.made[job.id][(round, base)]
        return accepted, await self.blobs.own(BlobRef(accepted.statement.update, accepted.statement.size))

    async def _submit(self, job: JobState, duty: duties.Submit) -> None:
        accepted, data = await self._own(job, duty.round, job.base)
        peer = self.follower.directory.peer(Address(duty.coordinator))
        reply = await self.parts.transport.request(
            peer, "update", frames.pack([encode(accepted), data]), job=job.id, round=duty.round, timeout=10.0
        )
        got = decode(reply, Received)
        receipt, said = got.receipt, accepted.statement
        key = receipt.signer_of(self.parts.domain, got.signature)
        wanted = (job.id, said.round, duty.attempt, self.account, said.update)
        if (receipt.job, receipt.round, receipt.attempt, receipt.trainer, receipt.update) != wanted:
            raise ProtocolError("the coordinator's receipt is for another update or attempt")
        if self.follower.directory.account_of(key) != duty.coordinator or got.coordinator != duty.coordinator:
            raise ProtocolError("the receipt is not signed by the coordinator in office")
        await self.book.write(got)

    async def _register(self, job: JobState, duty: duties.RegisterUpdate) -> None:
        """Leave the update with every verifier that answers, then put its digest on the ledger (R5)."""
        accepted, data = await self._own(job, duty.round, job.base)
        body = frames.pack([encode(accepted), data])
        left = await asyncio.gather(*(self._leave(job, duty, Address(verifier), body) for verifier in job.verifiers))
        if not any(left):
            raise ProtocolError("no verifier takes the update; it is registered once one does")
        await self.send(self.parts.contracts.rounds.register_update(job.id, duty.round, accepted.statement.update), duty)

    async def _leave(self, job: JobState, duty: duties.RegisterUpdate, verifier: Address, body: bytes) -> bool:
        """Whether this verifier took it; one that is down must not silence a trainer."""
        try:
            peer = self.follower.directory.peer(verifier)
            await self.parts.transport.request(peer, "leave", body, job=job.id, round=duty.round, timeout=5.0)
        except HansaError as error:
            log.warning("not left", extra={"duty": duty.name, "verifier": verifier, "error": str(error)})
            return False
        return True
