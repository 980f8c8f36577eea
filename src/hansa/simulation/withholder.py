"""A coordinator that anchors the right result of one round and gives nobody the blobs behind it."""

from __future__ import annotations

from hansa.core.errors import BlobUnavailable
from hansa.core.types import Address, BlobRef
from hansa.identity.statements import HoldReceipt
from hansa.node.blobs import Blobs
from hansa.node.coordinator import CoordinatorNode
from hansa.node.node import Node, Parts
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Held


class Hoard(Blobs):
    """What belongs to round `withheld` is brought to no second holder, whose promise is made up instead, and served to nobody."""

    def __init__(self, parts: Parts, node: Node, withheld: int) -> None:
        super().__init__(
            parts.store, parts.book, parts.transport, parts.follower.directory, parts.domain, parts.signer, parts.account,
            parts.follower.jobs.get, parts.scratch, node.until, node._allowance,
        )  # fmt: skip
        self._withheld = withheld
        self._hidden: set[bytes] = set()

    async def bring(self, job: JobState, ref: BlobRef, data: bytes, until: int, holder: Address, *, open: bool) -> Held:
        """The holder's promise; in the round in question one that the holder never gave."""
        if job.round != self._withheld:
            return await super().bring(job, ref, data, until, holder, open=open)
        self._hidden.add(ref.digest)
        receipt = HoldReceipt(job.id, job.round, ref.digest, ref.size, until)
        return Held(receipt, holder, receipt.sign(self._domain, self._signer))

    async def read(self, requester: Address, ref: BlobRef, offset: int, length: int) -> bytes:
        """Only what is not hidden."""
        if ref.digest in self._hidden:
            raise BlobUnavailable("this node does not hold that blob")
        return await super().read(requester, ref, offset, length)


class WithholdingCoordinator(CoordinatorNode):
    """Honest but for the blobs of round `withheld`."""

    def __init__(self, parts: Parts, withheld: int) -> None:
        super().__init__(parts)
        self.blobs = Hoard(parts, self, withheld)
