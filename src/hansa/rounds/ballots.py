"""Counting signed verdicts on one anchor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from hansa.core.types import Judgement
from hansa.rounds.duties import Ballot
from hansa.rounds.job import JobState

Box = Mapping[int, Ballot]
"""Verdicts on the anchor of one (round, attempt), by seat; signatures were checked before they came in."""


def _sorted(ballots: Iterable[Ballot]) -> tuple[Ballot, ...]:
    return tuple(sorted(ballots, key=lambda ballot: ballot.seat))


def deciding_valid(job: JobState, box: Box) -> tuple[Ballot, ...]:
    """All valid ballots if they reach two thirds of the seats, else nothing."""
    valid = _sorted(ballot for ballot in box.values() if ballot.judgement is Judgement.VALID)
    return valid if job.verifiers and len(valid) >= job.two_thirds() else ()


def witnesses(job: JobState, box: Box) -> tuple[Ballot, ...]:
    """All valid or fetched ballots if they reach a third of the seats (R5), else nothing."""
    seen = _sorted(ballot for ballot in box.values() if ballot.judgement is not Judgement.WRONG)
    return seen if job.verifiers and len(seen) >= job.one_third() else ()


def deciding_wrong(job: JobState, box: Box) -> tuple[bytes, tuple[Ballot, ...]]:
    """The digest that two thirds of the seats sign instead, with their ballots; (b"", ()) when there is none (R7)."""
    wrong = [ballot for ballot in box.values() if ballot.judgement is Judgement.WRONG]
    if not wrong:
        return b"", ()
    digest, count = Counter(ballot.digest for ballot in wrong).most_common(1)[0]
    if count < job.two_thirds():
        return b"", ()
    return digest, _sorted(ballot for ballot in wrong if ballot.digest == digest)
