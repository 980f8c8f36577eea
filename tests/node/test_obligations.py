"""What every member owes: ticks in turn, and evidence against who contradicts itself."""

from __future__ import annotations

import pytest

from hansa.core.types import Judgement
from hansa.node.obligations import Expose, Tick, contradicts, ticks
from hansa.rounds.duties import Ballot
from hansa.rounds.events import Terms
from hansa.rounds.job import JobState, Phase
from hansa.rounds.upkeep import GRACE

TERMS = Terms(*(bytes(32),) * 3, 4, 2, 1, 1, 0, 0, 0, 40, 16, 9_000, 1, 1, 1, 1, 4)
JOB = JobState(7, "client", TERMS, (1, 1), Phase.OPEN, bytes(32), ("t",), ("c", "s"), ("v",), verifiers=("v",), coordinator="c")
ANCHOR = b"a" * 32


def ballot(judgement: Judgement, digest: bytes) -> Ballot:
    return Ballot(0, judgement, digest, b"")


VALID, FETCHED = ballot(Judgement.VALID, ANCHOR), ballot(Judgement.FETCHED, bytes(32))
WRONG, OTHER, EMPTY = (ballot(Judgement.WRONG, digest) for digest in (b"w" * 32, b"o" * 32, ANCHOR))


@pytest.mark.parametrize(
    ("first", "second", "evidence"),
    [
        (VALID, WRONG, True), (WRONG, VALID, True), (WRONG, OTHER, True), (WRONG, WRONG, False), (VALID, VALID, False),
        (FETCHED, WRONG, False), (FETCHED, VALID, False), (WRONG, FETCHED, False), (VALID, EMPTY, False), (EMPTY, WRONG, False),
    ],
)  # fmt: skip
def test_what_is_a_contradiction_is_what_the_contract_slashes_for(first: Ballot, second: Ballot, evidence: bool) -> None:
    assert contradicts(first, second, ANCHOR) is evidence


def test_the_clock_is_ticked_once_half_of_the_longest_pause_is_over_one_after_another() -> None:
    last, gap = 1_000, 600
    assert ticks(JOB, "c", last, gap, last + gap / 2 - 1) == []
    assert ticks(JOB, "c", last, gap, last + gap / 2) == [Tick(7, last)]
    assert ticks(JOB, "s", last, gap, last + gap / 2) == []
    assert ticks(JOB, "s", last, gap, last + gap / 2 + 2 * GRACE) == [Tick(7, last)]
    # However many wait, the last of them is still in time.
    crowd = JobState(7, "client", TERMS, (1, 1), Phase.OPEN, bytes(32), tuple(f"t{place}" for place in range(500)), ("c",), ("v",))
    assert ticks(crowd, "t499", last, gap, last + gap * 3 / 4) == [Tick(7, last)]


def test_nobody_ticks_for_a_job_that_is_over_or_not_its_own() -> None:
    closed = JobState(7, "client", TERMS, (1, 1), Phase.CLOSED, bytes(32), ("t",), ("c",), ("v",))
    assert ticks(closed, "c", 1_000, 600, 99_999) == [] and ticks(JOB, "stranger", 1_000, 600, 99_999) == []
    assert ticks(JOB, "c", 0, 600, 99_999) == []


def test_one_tick_serves_all_jobs_and_one_exposure_is_one_seats() -> None:
    assert Tick(1, 5).name == Tick(2, 5).name != Tick(1, 6).name
    assert Expose(1, 2, 0, 0).name != Expose(1, 2, 0, 1).name
