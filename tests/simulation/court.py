"""A referee with a clock, people with stake, and a fold that reads along."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from hansa.core.clock import ManualClock
from hansa.core.errors import ProtocolError
from hansa.core.types import Judgement, Role
from hansa.rounds import events as facts
from hansa.rounds.anchor import Anchor
from hansa.rounds.duties import Ballot
from hansa.rounds.job import JobState, apply, open_job
from hansa.simulation.cohort import commitment
from hansa.simulation.company import BUDGET, CLIENT, account
from hansa.simulation.company import terms as fixed_terms
from hansa.simulation.payout import Payout
from hansa.simulation.purse import Purse
from hansa.simulation.referee import Referee
from hansa.simulation.seal import ballot, digest_of

T = [account(Role.TRAINER, number) for number in range(4)]
C = [account(Role.COORDINATOR, number) for number in range(3)]
V = [account(Role.VERIFIER, number) for number in range(5)]
RICH = 1_000_000
VALUE, SALT = b"v" * 32, b"s" * 32


class Court:
    """A referee with a clock, calls by default from anyone, and a fold that reads along."""

    def __init__(
        self, *, rounds: int = 2, milestones: int = 1, seats: int = 3, acceptance: bytes = bytes(32), start: bool = True, **other: object
    ) -> None:
        self.clock = ManualClock(1_000)
        self.purse = Purse({name: RICH for name in (*T, *C, *V, CLIENT, "anyone")})
        self.referee = Referee(self.clock, self.purse)
        self.payout = Payout(self.referee)
        self.terms = replace(fixed_terms(1_000, 4, seats, quorum=3, rounds=rounds, milestones=milestones, acceptance=acceptance), **other)
        self.referee.open(CLIENT, self.terms, [BUDGET] * milestones)
        if start:
            self.enrol()
            self.referee.start(CLIENT)

    def enrol(self, trainers: int = 4, coordinators: int = 3, verifiers: int = 3) -> None:
        for role, names in ((Role.TRAINER, T[:trainers]), (Role.COORDINATOR, C[:coordinators]), (Role.VERIFIER, V[:verifiers])):
            for name in names:
                self.purse.stake(name, 20_000)
                self.referee.enrol(name, role, commitment(1, name, VALUE, SALT) if role is Role.VERIFIER else b"")

    def to(self, seconds: float) -> None:
        """Protocol seconds after the job was opened."""
        while self.clock.now() < 1_000 + seconds:
            self.clock.advance(min(500, 1_000 + seconds - self.clock.now()))
            self.referee.tick()

    @property
    def job(self) -> JobState:
        first, *rest = self.referee.log
        assert isinstance(first, facts.JobOpened)
        state = open_job(first)
        for fact in rest:
            state = apply(state, fact)
        return state

    def draft(self, **other: object) -> Anchor:
        job = self.job
        plain = Anchor(
            job=1,
            round=job.round,
            attempt=job.attempt,
            base=job.base,
            updates=b"u" * 32,
            manifest=b"m" * 32,
            manifest_size=1,
            aggregate=b"a" * 32,
            model=bytes([job.round]) * 32,
            model_size=1,
            credits=b"c" * 32,
            accepted=4,
        )
        return replace(plain, **other)

    def anchor(self, **other: object) -> Anchor:
        draft = self.draft(**other)
        self.referee.anchor(self.referee.coordinator, draft)
        return draft

    def finalise(self) -> Anchor:
        anchor = self.anchor()
        self.referee.finalise("anyone", anchor, votes(anchor, "vv-"))
        return anchor


def votes(anchor: Anchor, what: str, wrong: bytes = b"w" * 32) -> list[Ballot]:
    kinds = {"v": (Judgement.VALID, digest_of(anchor)), "f": (Judgement.FETCHED, bytes(32)), "w": (Judgement.WRONG, wrong)}
    return [ballot(V[seat], seat, anchor, *kinds[vote]) for seat, vote in enumerate(what) if vote != "-"]


def refused(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ProtocolError, match=sentence):
        call()
