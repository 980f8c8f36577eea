"""The ledger's facts about one federated job, as frozen values; field names are those of the contract's events.

Times are protocol time in seconds. `decode_event` refuses a name that it does not know: an interpreter never guesses.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hansa.core.errors import ProtocolError
from hansa.rounds.anchor import Anchor


class Terms(msgspec.Struct, frozen=True):
    """What the client fixed when it opened the job; the contract's `Terms`, field by field."""

    spec: bytes
    genesis: bytes
    acceptance: bytes
    rounds: int
    milestones: int
    quorum: int
    verifiers: int
    coordinator_bps: int
    verifier_bps: int
    enrol_by: int
    patience: int
    window: int
    deadline: int
    trainer_stake: int
    coordinator_stake: int
    verifier_stake: int
    challenge_bond: int
    max_trainers: int


class LedgerEvent(msgspec.Struct, frozen=True, kw_only=True):
    job: int
    at: int = 0


class JobOpened(LedgerEvent, frozen=True, kw_only=True):
    client: str
    first_kernel_job: int
    terms: Terms
    nets: tuple[int, ...]


class Enrolled(LedgerEvent, frozen=True, kw_only=True):
    account: str
    role: int


class Revealed(LedgerEvent, frozen=True, kw_only=True):
    account: str


class JobStarted(LedgerEvent, frozen=True, kw_only=True):
    coordinator: str
    verifiers: tuple[str, ...]


class UpdateRegistered(LedgerEvent, frozen=True, kw_only=True):
    round: int
    trainer: str
    update: bytes


class RoundAnchored(LedgerEvent, frozen=True, kw_only=True):
    round: int
    attempt: int
    coordinator: str
    anchor: Anchor


class RoundFinalised(LedgerEvent, frozen=True, kw_only=True):
    round: int
    attempt: int
    by_time: bool
    seats: int


class Challenged(LedgerEvent, frozen=True, kw_only=True):
    round: int
    attempt: int
    challenger: str


class RoundReopened(LedgerEvent, frozen=True, kw_only=True):
    """The anchor fell: condemned, lapsed or voided; the coordinator of that attempt no longer serves this job."""

    round: int
    attempt: int
    reason: str


class CoordinatorReplaced(LedgerEvent, frozen=True, kw_only=True):
    round: int
    before: str
    after: str


class MilestoneSettled(LedgerEvent, frozen=True, kw_only=True):
    milestone: int


class ShardOpened(LedgerEvent, frozen=True, kw_only=True):
    milestone: int
    digest: bytes


class Accepted(LedgerEvent, frozen=True, kw_only=True):
    milestone: int
    model: bytes
    metric: int


class JobClosed(LedgerEvent, frozen=True, kw_only=True):
    reason: str


KNOWN: dict[str, type[LedgerEvent]] = {
    shape.__name__: shape
    for shape in (
        JobOpened, Enrolled, Revealed, JobStarted, UpdateRegistered, RoundAnchored, RoundFinalised, Challenged, RoundReopened,
        CoordinatorReplaced, MilestoneSettled, ShardOpened, Accepted, JobClosed,
    )
}  # fmt: skip


def decode_event(name: str, arguments: Mapping[str, object], at: int) -> LedgerEvent:
    """One decoded log as a fact; ProtocolError for a name outside this version of the protocol."""
    shape = KNOWN.get(name)
    if shape is None:
        raise ProtocolError(f"the ledger reports '{name}', which this version of the protocol does not know; update the node")
    return msgspec.convert({**arguments, "at": at}, shape)
