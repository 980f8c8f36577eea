"""A verifier that signs whatever is anchored."""

from __future__ import annotations

from hansa.core.types import Judgement, Verdict
from hansa.node.verifier import VerifierNode
from hansa.rounds import duties
from hansa.rounds.job import JobState


class ColludingVerifier(VerifierNode):
    """Calls every anchor valid without fetching a single blob of it."""

    async def _verdict(self, job: JobState, duty: duties.Check) -> Verdict:
        return Verdict(Judgement.VALID, duty.anchor.digest())
