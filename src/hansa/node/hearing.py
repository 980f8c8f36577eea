"""Hearing verifiers: what coordinators and verifiers alike do with a verdict or an evaluation that reaches them."""

from __future__ import annotations

from collections.abc import Mapping

from hansa.core.errors import ProtocolError
from hansa.core.ports import Handler
from hansa.core.types import Envelope
from hansa.node.ballots import ballot_reached, heard, read_ballot, read_measurement
from hansa.node.node import LAG, Node


class Hearing(Node):
    """A node that counts what verifiers say."""

    def handlers(self) -> Mapping[str, Handler]:
        return {**super().handlers(), "verdict": self._hear, "evaluation": self._hear_evaluation}

    async def _hear(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "verdict": journalled before the answer says that it was heard."""
        job = await self.follower.until(envelope.job, lambda job: ballot_reached(body, job), LAG)
        voted = read_ballot(body, job, self.parts.contracts, self.parts.domain, self.follower.directory)
        if job is None or job.anchor is None:
            raise ProtocolError("the verdict is about an anchor that is not under judgement now")
        async with self.desk(job.verifiers[voted.ballot.seat]):
            await self.book.write(*heard(voted, job.anchor.digest(), self.book, self.now()))
        self._wake.set()
        return b"{}"

    async def _hear_evaluation(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "evaluation": a seat's first one counts."""
        job = self.follower.jobs.get(envelope.job)
        measured = read_measurement(body, job, self.parts.contracts, self.parts.domain, self.follower.directory)
        said = measured.evaluation
        if measured.seat not in self.book.measured[said.job][said.milestone]:
            await self.book.write(measured)
        self._wake.set()
        return b"{}"
