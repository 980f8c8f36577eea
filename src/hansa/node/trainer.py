"""The trainer: its rows stay in its worker process; what leaves is a clipped, rounded, signed update."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from hansa.core import frames
from hansa.core.encoding import decode, encode
from hansa.core.errors import DataError, HansaError, ProtocolError
from hansa.core.ports import Handler
from hansa.core.types import Address, BlobRef, Digest, Role
from hansa.identity.statements import UpdateStatement
from hansa.learning.calls import Rows, TrainCall, Trained
from hansa.learning.examples import Examples
from hansa.learning.schema import Schema
from hansa.learning.strategies import AnyStrategy, PartialWidth
from hansa.learning.strategy import Vectors, derive_seed
from hansa.model import vectors
from hansa.model.stages import State
from hansa.model.state import ModelState, Vector
from hansa.node.asking import ask
from hansa.node.beginning import frozen_model
from hansa.node.node import Node, Parts, model_ref
from hansa.node.records import Made, Received
from hansa.node.speeds import Speeds
from hansa.node.table import Site
from hansa.rounds import duties
from hansa.rounds.assemble import Standing, server_state
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted
from hansa.rounds.spec import JobSpec
from hansa.rounds.staleness import base_of
from hansa.rounds.trainer import trainer_duties

log = logging.getLogger(__name__)

TRAIN_SECONDS = 3600.0


class TrainerNode(Node):
    """Owns one site's rows. `digest` is their salted digest; `disclose_rows` lets their number be the update's weight (R9); `reread` gives
    rows and digest anew when they have changed, which is asked before each job that is joined. `share` is the part of a model's width that
    the device trains in jobs of partial widths; `timer` gives seconds, by which its speed is measured."""

    role = Role.TRAINER

    def __init__(
        self, parts: Parts, schema: Schema, rows: Examples, digest: Digest, *, disclose_rows: bool,
        reread: Callable[[], Site | None] = lambda: None, share: float = 1.0, timer: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        super().__init__(parts)
        self._schema, self._disclose, self._reread = schema, disclose_rows, reread
        self._share, self._speeds = share, Speeds(timer)
        self._own_rows(rows, digest)
        self._training: set[int] = set()

    def _own_rows(self, rows: Examples, digest: Digest) -> None:
        self._rows, self._digest = rows, digest
        # The name under which workers keep the rows; it never leaves this machine.
        self._kept = Rows.of(digest.hex(), rows)

    def handlers(self) -> Mapping[str, Handler]:
        """None: a trainer only dials out, and there is nothing here to ask for."""
        return {}

    def ranges(self) -> None:
        """No part of any blob either."""
        return None

    def owed(self, job: JobState) -> Sequence[Duty]:
        spec = self.known_spec(job)
        staleness = spec.staleness if spec is not None and spec.asynchronous else None
        due = trainer_duties(job, self.account, self.book.trainer(job.id), self.now(), staleness)
        # One training at a time: an asynchronous round does not wait for it, but the next one may still take what it comes to.
        return [duty for duty in due if not isinstance(duty, duties.Train) or job.id not in self._training or staleness is None]

    async def check_eligible(self, job: JobState, spec: JobSpec) -> None:
        """The job's columns, coded as it says, must be this site's; DataError names the first that is not."""
        different = self._schema.difference(spec.data)
        if different is not None:
            raise DataError(f"job {job.id} wants other columns than this site has, the first being '{different}'; it is left alone")
        self._width(spec)
        found = await asyncio.to_thread(self._reread)
        if found is not None:
            self._own_rows(*found)

    async def perform(self, duty: Duty) -> None:
        match duty:
            case duties.Train():
                self._training.add(duty.job)
                try:
                    await self._train(self.job(duty.job), duty)
                finally:
                    self._training.discard(duty.job)
            case duties.Submit():
                await self._submit(self.job(duty.job), duty)
            case duties.RegisterUpdate():
                await self._register(self.job(duty.job), duty)
            case _:
                await super().perform(duty)

    async def _train(self, job: JobState, duty: duties.Train) -> None:
        spec, _ = await self.spec(job)
        base = await self.model(job, spec, duty.round)
        server = await self.server(job, spec, base)
        told = spec.strategy.told(spec.layout, server_state(spec, Standing(base, server=server)))
        kept, rounding = await self._kept_before(job, spec, duty.round)
        sent, keeps = await self.change(job, spec, duty.round, base, told, kept)
        weight = min(len(self._rows), spec.max_weight) if self._disclose else 1
        update, payload, rounding, measured = await asyncio.to_thread(
            spec.pipeline.encode, sent, weight, rounding, spec.round_seed(duty.round)
        )
        # A coordinate beyond the job's bound is cut: the site's part in the round is then not what its rows say.
        cut = any(name.endswith("saturated") and share for name, share in measured.items())
        log.log(logging.WARNING if cut else logging.INFO, "update", extra={"duty": duty.name, **measured})
        data = spec.update_format(job, duty.round).encode(update, self._digest, payload)
        blob = await self.blobs.put(data)
        said = UpdateStatement(job.id, duty.round, self.account, duty.base, blob.digest, blob.size, weight, self._digest)
        own = await self.blobs.put(vectors.encode((*keeps, *rounding))) if keeps or rounding else None
        made = Made(Accepted(said, said.sign(self.parts.domain, self.parts.signer)), own)
        await self.book.write(*self.blobs.guard(job.id, blob, self.until(job), open=False), made)

    async def _kept_before(self, job: JobState, spec: JobSpec, round: int) -> tuple[Vectors, State]:
        """What this site goes on from: what its strategy keeps, empty before its first round, and its pipeline's state.

        Rounds that were undone do not count: only those whose base the ledger still leads through.
        """
        bases = {number: model_ref(job, spec, number).digest for number in range(1, round)}
        made = [(number, base) for number, base in self.book.kept.get(job.id, {}) if bases.get(number) == base]
        fresh = spec.pipeline.initial()
        if not made:
            return (), fresh
        found = vectors.read(await self.blobs.own(self.book.kept[job.id][max(made)]))
        return found[: len(found) - len(fresh)], found[len(found) - len(fresh) :]

    async def change(
        self, job: JobState, spec: JobSpec, round: int, base: ModelState, told: Vectors, kept: Vectors
    ) -> tuple[Vector, Vectors]:
        """What this site's training sends, float32 over the travelling layout, and what it keeps. Rows go to a worker once and stay."""
        call = TrainCall(
            spec.architecture, spec.objective, spec.strategy, derive_seed(spec.seed, round, self.account), self._kept,
            told=tuple(vector.size for vector in told), kept=tuple(vector.size for vector in kept), width=self._width(spec),
        )  # fmt: skip

        async def train(strategy: AnyStrategy) -> tuple[Trained, list[memoryview]]:
            answer, buffers = await ask(
                self.parts.workers, replace(call, strategy=strategy), (base.vector, *told, *kept), self._rows,
                lambda: frozen_model(self.blobs, spec, self.holders(job)), timeout=TRAIN_SECONDS,
            )  # fmt: skip
            if not isinstance(answer, Trained):
                raise ProtocolError("the worker answered a training call with something else; restart the node")
            return answer, buffers

        answer = await self._speeds.trained(job.id, spec, len(self._rows), train)
        sent, *keeps = (np.frombuffer(each, "<f4").astype(np.float32, copy=False) for each in answer)
        return sent, tuple(keeps)

    def _width(self, spec: JobSpec) -> int:
        """The widest class of a job of partial widths that is within this device's share; DataError when there is none."""
        if not isinstance(spec.strategy, PartialWidth):
            return 0
        found = next((width for width, share in enumerate(spec.strategy.shares) if share <= self._share), None)
        if found is None:
            raise DataError(f"this device trains at most {self._share:g} of a model's width, the job at least {spec.strategy.shares[-1]:g}")
        return found

    async def _own(self, job: JobState, round: int, base: bytes) -> tuple[Accepted, bytes]:
        accepted = self.book.made[job.id][(round, base)]
        return accepted, await self.blobs.own(BlobRef(accepted.statement.update, accepted.statement.size))

    async def _submit(self, job: JobState, duty: duties.Submit) -> None:
        accepted, data = await self._own(job, duty.made, base_of(job, duty.made))
        peer = self.follower.directory.peer(Address(duty.coordinator))
        reply = await self.parts.transport.request(
            peer, "update", frames.pack([encode(accepted), data]), job=job.id, round=duty.round, timeout=10.0
        )
        got = decode(reply, Received)
        receipt, said = got.receipt, accepted.statement
        key = receipt.signer_of(self.parts.domain, got.signature)
        wanted = (job.id, duty.round, duty.attempt, self.account, said.update)
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
