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
    """`nets`: what each milestone pays after the market's fee; the node reads it beside the event."""

    client: str
    terms: Terms
    nets: tuple[int, ...]


class Enrolled(LedgerEvent, frozen=True, kw_only=True):
    account: str
    role: int


class Left(LedgerEvent, frozen=True, kw_only=True):
    """A trainer gave its seat up: it takes part in what is open and in nothing that is opened later."""

    account: str


class Revealed(LedgerEvent, frozen=True, kw_only=True):
    account: str


class Seated(LedgerEvent, frozen=True, kw_only=True):
    verifiers: tuple[str, ...]
    coordinators: tuple[str, ...]


class RoundOpened(LedgerEvent, frozen=True, kw_only=True):
    """A round, or a new attempt or coordinator of it; a number that was final before says that later proof undid it (R7)."""

    round: int
    attempt: int
    base: bytes
    coordinator: str
    opened_at: int


class UpdateRegistered(LedgerEvent, frozen=True, kw_only=True):
    round: int
    attempt: int
    trainer: str
    update: bytes


class RoundAnchored(LedgerEvent, frozen=True, kw_only=True):
    round: int
    coordinator: str
    anchor: Anchor
    anchored_at: int


class RoundFinalised(LedgerEvent, frozen=True, kw_only=True):
    """`seats`: bitmap of the seats whose verdict was in the finalising call."""

    round: int
    attempt: int
    by_time: bool
    seats: int


class Challenged(LedgerEvent, frozen=True, kw_only=True):
    """`voids_at`: when the round is void if neither side proved anything."""

    round: int
    attempt: int
    challenger: str
    voids_at: int


class AnchorFell(LedgerEvent, frozen=True, kw_only=True):
    round: int
    attempt: int
    coordinator: str


class Condemned(AnchorFell, frozen=True, kw_only=True):
    """Two thirds of the seats signed another digest."""


class Lapsed(AnchorFell, frozen=True, kw_only=True):
    """Not a third of the seats had fetched the blobs in time."""


class Voided(AnchorFell, frozen=True, kw_only=True):
    """Challenged, and neither side reached two thirds."""


class CoordinatorReplaced(LedgerEvent, frozen=True, kw_only=True):
    round: int
    previous: str
    next: str


class Penalised(LedgerEvent, frozen=True, kw_only=True):
    """`out`: the account no longer serves this job."""

    account: str
    role: int
    amount: int
    out: bool


class MemberReleased(LedgerEvent, frozen=True, kw_only=True):
    """The account's lock went back to its free stake."""

    account: str


class MilestoneSettled(LedgerEvent, frozen=True, kw_only=True):
    milestone: int
    net: int
    credits: bytes
    model: bytes


class ShardOpened(LedgerEvent, frozen=True, kw_only=True):
    milestone: int
    digest: bytes


class ModelAccepted(LedgerEvent, frozen=True, kw_only=True):
    milestone: int
    model: bytes
    metric: int
    baseline: int


class JobClosed(LedgerEvent, frozen=True, kw_only=True):
    """`reason`: 1 completed, 2 expired, 3 cancelled."""

    reason: int


KNOWN: dict[str, type[LedgerEvent]] = {
    shape.__name__: shape
    for shape in (
        JobOpened, Enrolled, Left, Revealed, Seated, RoundOpened, UpdateRegistered, RoundAnchored, RoundFinalised, Challenged, Condemned,
        Lapsed, Voided, CoordinatorReplaced, Penalised, MemberReleased, MilestoneSettled, ShardOpened, JobClosed,
    )
} | {"Accepted": ModelAccepted}  # fmt: skip

WITHOUT_EFFECT = frozenset(
    "JobStarted LedgerSet Claimed FeeClaimed BondReturned BondLost Equivocated Credited Collected Burned EIP712DomainChanged".split()
)
"""Events of the same contracts that move money or repeat what another says, without changing the job's state."""


def decode_event(name: str, arguments: Mapping[str, object], at: int) -> LedgerEvent | None:
    """One decoded log as a fact, None for one without effect on the state; ProtocolError for an unknown name."""
    if name in WITHOUT_EFFECT:
        return None
    shape = KNOWN.get(name)
    if shape is None:
        raise ProtocolError(f"the ledger reports '{name}', which this version of the protocol does not know; update the node")
    return msgspec.convert({**arguments, "at": at}, shape)
