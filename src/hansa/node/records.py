"""What a node writes down: frozen records of what it made, received, judged and heard."""

from __future__ import annotations

import msgspec

from hansa.core.types import BlobRef
from hansa.identity.statements import Evaluation, UpdateReceipt
from hansa.rounds.anchor import Anchor
from hansa.rounds.duties import Ballot
from hansa.rounds.manifest import Accepted


class Record(msgspec.Struct, frozen=True, tag=True):
    """One entry; its journal kind is "book"."""


class Made(Record, frozen=True):
    """The own update of (round, base), its blob already stored: a restarted trainer resends these bytes (R1). `kept` is the blob, for
    nobody else, of what the next round's training goes on from: control variates, error feedback, layers that stay home."""

    accepted: Accepted
    kept: BlobRef | None = None


class Received(Record, frozen=True):
    """The coordinator's receipt for the own update in one attempt."""

    receipt: UpdateReceipt
    coordinator: str
    signature: bytes


class Took(Record, frozen=True):
    """An update accepted from a trainer, its blob already stored."""

    accepted: Accepted


class Left(Record, frozen=True):
    """An update that a trainer left with this verifier because its coordinator gave no receipt (R5)."""

    accepted: Accepted


class Absent(Record, frozen=True):
    """A verifier's word that it holds no update of this trainer, asked after trainers could leave any (R5)."""

    job: int
    round: int
    attempt: int
    trainer: str
    verifier: str


class Drafted(Record, frozen=True):
    """The anchor made for an attempt, its blobs already stored; it is sent as it is, however often the node restarts."""

    anchor: Anchor


class Voted(Record, frozen=True):
    """A seat's signed verdict, own or heard, its signature checked; a seat's first one counts."""

    job: int
    round: int
    attempt: int
    ballot: Ballot
    own: bool = False


class Contradicted(Record, frozen=True):
    """A second verdict of a seat about the same anchor that contradicts its first: kept as evidence, never counted."""

    job: int
    round: int
    attempt: int
    anchor: bytes
    ballot: Ballot
    at: float


class Published(Record, frozen=True):
    job: int
    round: int
    attempt: int


class Measured(Record, frozen=True):
    """A seat's signed evaluation of a milestone, own or heard; a seat's first one counts."""

    evaluation: Evaluation
    seat: int
    signature: bytes
    own: bool = False


class Shared(Record, frozen=True):
    """Every fellow has the own evaluation of this milestone."""

    job: int
    milestone: int


class Claimed(Record, frozen=True):
    job: int
    milestone: int


class Leaving(Record, frozen=True):
    """The operator wants this trainer to give its seat in the job up."""

    job: int


class Guarded(Record, frozen=True):
    """A blob held for a job until a time in seconds since 1970, whether participants other than verifiers may read it, and who brought it
    (empty: nobody)."""

    job: int
    ref: BlobRef
    until: int
    open: bool
    by: str = ""


class Forgotten(Record, frozen=True):
    """The job is over and its blobs need not be kept any longer: nothing of it is remembered."""

    job: int


Any = (
    Made | Received | Took | Left | Absent | Drafted | Voted | Contradicted | Published | Measured | Shared | Claimed | Guarded
    | Forgotten | Leaving
)  # fmt: skip
