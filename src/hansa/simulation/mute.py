"""A verifier that takes a seat and is never heard of again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hansa.core.ports import Handler
from hansa.node.verifier import VerifierNode
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState


class MuteVerifier(VerifierNode):
    """Enrols like any other; then judges nothing, answers nobody, and leaves even its own stake where it is."""

    def owed(self, job: JobState) -> Sequence[Duty]:
        return []

    def handlers(self) -> Mapping[str, Handler]:
        return {}

    def ranges(self) -> None:
        return None
