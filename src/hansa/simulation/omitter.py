"""Coordinators that do not hear one trainer in one round: one that sums its update all the same, and one that leaves it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from hansa.core.errors import PeerRefused
from hansa.core.ports import Handler
from hansa.core.types import Address, Envelope
from hansa.node.coordinator import CoordinatorNode
from hansa.node.node import Parts
from hansa.rounds import duties
from hansa.rounds.coordinator import coordinator_duties
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState


class DeafCoordinator(CoordinatorNode):
    """In round `deaf` it takes no update from the first trainer, but sums what this one left with the verifiers."""

    def __init__(self, parts: Parts, deaf: int) -> None:
        super().__init__(parts)
        self._deaf = deaf

    def handlers(self) -> Mapping[str, Handler]:
        return {**super().handlers(), "update": self._take_some}

    async def _take_some(self, envelope: Envelope, body: bytes) -> bytes:
        job = self.follower.jobs.get(envelope.job)
        sender = self.follower.directory.account_of(Address(envelope.sender))
        if job is not None and job.round == self._deaf and sender == job.trainers[0]:
            raise PeerRefused("this node is busy; bring your update later")
        return await self._take(envelope, body)


class OmittingCoordinator(DeafCoordinator):
    """Neither takes the first trainer's update nor collects it: it sums the others as soon as that looks honest."""

    def owed(self, job: JobState) -> Sequence[Duty]:
        """As if every verifier had said that nobody left anything there."""
        if job.round != self._deaf:
            return super().owed(job)
        nobody = {trainer: frozenset(job.verifiers) for trainer in job.trainers}
        facts = replace(self.book.coordinator(job.id), absent={(job.round, job.attempt): nobody})
        return [duty for duty in coordinator_duties(job, self.account, facts, self.now()) if not isinstance(duty, duties.Collect)]
