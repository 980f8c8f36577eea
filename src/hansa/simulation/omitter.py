"""A coordinator that leaves one trainer out of one round."""

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


class OmittingCoordinator(CoordinatorNode):
    """In round `omits` it gives the first trainer no receipt, collects nothing that this one registers, and sums the others in time."""

    def __init__(self, parts: Parts, omits: int) -> None:
        super().__init__(parts)
        self._omits = omits

    def owed(self, job: JobState) -> Sequence[Duty]:
        """As if every verifier had said that nobody left anything there."""
        if job.round != self._omits:
            return super().owed(job)
        nobody = {trainer: frozenset(job.verifiers) for trainer in job.trainers}
        facts = replace(self.book.coordinator(job.id), absent={(job.round, job.attempt): nobody})
        return [duty for duty in coordinator_duties(job, self.account, facts, self.now()) if not isinstance(duty, duties.Collect)]

    def handlers(self) -> Mapping[str, Handler]:
        return {**super().handlers(), "update": self._take_some}

    async def _take_some(self, envelope: Envelope, body: bytes) -> bytes:
        job = self.follower.jobs.get(envelope.job)
        sender = self.follower.directory.account_of(Address(envelope.sender))
        if job is not None and job.round == self._omits and sender == job.trainers[0]:
            raise PeerRefused("this node is busy; bring your update later")
        return await self._take(envelope, body)
