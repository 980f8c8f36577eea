"""The vocabulary of duties: what a state may ask of a role. Each names itself, so that a node knows what is already under way or done."""

from __future__ import annotations

import msgspec

from hansa.core.types import Judgement
from hansa.rounds.anchor import Anchor


class Duty(msgspec.Struct, frozen=True):
    """Something due now; equal duties are the same work."""

    job: int

    @property
    def name(self) -> str:
        """Unique text of this duty: the intent under which its transaction is sent at most once."""
        return "/".join([type(self).__name__.lower(), *(str(getattr(self, field)) for field in self._key())])

    def _key(self) -> tuple[str, ...]:
        return tuple(field for field in ("job", "round", "attempt", "milestone") if hasattr(self, field))


class Start(Duty, frozen=True):
    """Fix the seats and open round 1."""


class Cancel(Duty, frozen=True):
    """Too few enrolled: refund and release."""


class Leave(Duty, frozen=True):
    """Give the trainer's seat up; what is open is still worked for."""


class Reveal(Duty, frozen=True):
    """Open the committed beacon value, because more verifiers enrolled than there are seats."""


class Train(Duty, frozen=True):
    round: int
    base: bytes

    def _key(self) -> tuple[str, ...]:
        return ("job", "round", "base_text")

    @property
    def base_text(self) -> str:
        return self.base.hex()


class Submit(Duty, frozen=True):
    """Bring the own update, made from the model of round `made`, to the coordinator of this attempt and get its signed receipt."""

    round: int
    attempt: int
    coordinator: str
    made: int


class RegisterUpdate(Duty, frozen=True):
    """The coordinator gave no receipt: leave the update with the verifiers, then put its digest on the ledger (R5)."""

    round: int
    attempt: int


class Collect(Duty, frozen=True):
    """Get from the verifiers the updates that these trainers registered and could not bring (R5)."""

    round: int
    attempt: int
    trainers: tuple[str, ...]


class Assemble(Duty, frozen=True):
    """Sum the updates of these trainers, make the next model, store and replicate the blobs, draft the anchor."""

    round: int
    attempt: int
    trainers: tuple[str, ...]


class SendAnchor(Duty, frozen=True):
    round: int
    attempt: int
    anchor: Anchor


class Takeover(Duty, frozen=True):
    round: int
    attempt: int
    since: int

    def _key(self) -> tuple[str, ...]:
        return ("job", "round", "attempt", "since")


class Regroup(Duty, frozen=True):
    """Too few of the round's trainers are left and enough are seated: open it anew with those."""

    round: int
    attempt: int


class Check(Duty, frozen=True):
    """Fetch every blob of the anchor, recompute it, judge."""

    round: int
    attempt: int
    anchor: Anchor


class Publish(Duty, frozen=True):
    """Bring the own signed verdict to coordinators and fellow verifiers."""

    round: int
    attempt: int


class Challenge(Duty, frozen=True):
    round: int
    attempt: int
    anchor: Anchor


class Ballot(msgspec.Struct, frozen=True):
    """One seat's signed verdict as the contract takes it."""

    seat: int
    judgement: Judgement
    digest: bytes
    signature: bytes


class Finalise(Duty, frozen=True):
    round: int
    attempt: int
    anchor: Anchor
    ballots: tuple[Ballot, ...]
    by_time: bool = False


class Condemn(Duty, frozen=True):
    round: int
    attempt: int
    anchor: Anchor
    digest: bytes
    ballots: tuple[Ballot, ...]


class Lapse(Duty, frozen=True):
    round: int
    attempt: int
    anchor: Anchor


class VoidRound(Duty, frozen=True):
    round: int
    attempt: int
    anchor: Anchor


class Settle(Duty, frozen=True):
    milestone: int


class Evaluate(Duty, frozen=True):
    """Measure an anchored model on an opened acceptance shard and sign the result (R11)."""

    milestone: int
    model: bytes
    shard: bytes


class OpenShard(Duty, frozen=True):
    milestone: int


class Accept(Duty, frozen=True):
    milestone: int


class Claim(Duty, frozen=True):
    """Collect what settled milestones owe this account."""

    milestone: int


class Release(Duty, frozen=True):
    """Get the own stake back."""


class Expire(Duty, frozen=True):
    """The deadline passed: refund what is not complete, end the job."""


class Close(Duty, frozen=True):
    """Every milestone is settled: end the job."""
