"""Counting signed verdicts on one anchor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hansa.core.types import Judgement
from hansa.rounds.duties import Ballot
from hansa.rounds.job import JobState

Box = Mapping[int, Ballot]
"""Verdicts on the anchor of one (round, attempt), by seat; signatures were checked before they came in."""


def _counted(job: JobState, box: Box, *judgements: Judgement) -> tuple[Ballot, ...]:
    """By seat; a seat that lost its place is left out, because the contract refuses a call that names it."""
    return tuple(box[seat] for seat in sorted(box) if box[seat].judgement in judgements and job.verifiers[seat] not in job.removed)


def deciding_valid(job: JobState, box: Box) -> tuple[Ballot, ...]:
    """All valid ballots if they reach two thirds of the seats, else nothing."""
    valid = _counted(job, box, Judgement.VALID)
    return valid if job.verifiers and len(valid) >= job.two_thirds() else ()


def witnesses(job: JobState, box: Box) -> tuple[Ballot, ...]:
    """All valid or fetched ballots if they reach a third of the seats (R5), else nothing."""
    seen = _counted(job, box, Judgement.VALID, Judgement.FETCHED)
    return seen if job.verifiers and len(seen) >= job.one_third() else ()


def deciding_wrong(job: JobState, box: Box) -> tuple[bytes, tuple[Ballot, ...]]:
    """The digest that two thirds of the seats sign instead, with their ballots; (b"", ()) when there is none (R7)."""
    wrong = _counted(job, box, Judgement.WRONG)
    if not wrong:
        return b"", ()
    digest, count = Counter(ballot.digest for ballot in wrong).most_common(1)[0]
    if count < job.two_thirds():
        return b"", ()
    return digest, tuple(ballot for ballot in wrong if ballot.digest == digest)
