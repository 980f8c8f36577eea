"""A node's own journal, folded: what it made, received, judged and heard, so that after `kill -9` it owes exactly what it owed before."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from hansa.core.encoding import encode
from hansa.core.ports import Journal
from hansa.core.types import BlobRef
from hansa.identity.statements import Evaluation, UpdateReceipt
from hansa.rounds.anchor import Anchor
from hansa.rounds.coordinator import CoordinatorFacts
from hansa.rounds.duties import Ballot
from hansa.rounds.manifest import Accepted, Held
from hansa.rounds.trainer import TrainerFacts
from hansa.rounds.verifier import VerifierFacts


class Record(msgspec.Struct, frozen=True, tag=True):
    """One entry; its journal kind is "book"."""


class Made(Record, frozen=True):
    """The own update of (round, base), its blob already stored: a restarted trainer resends these bytes (R1)."""

    accepted: Accepted


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


class Placed(Record, frozen=True):
    """Another holder's promise for one blob (R17)."""

    held: Held


class Drafted(Record, frozen=True):
    """The anchor made for an attempt, its blobs already stored; it is sent as it is, however often the node restarts."""

    anchor: Anchor


class Voted(Record, frozen=True):
    """A seat's signed verdict, own or heard, its signature checked."""

    job: int
    round: int
    attempt: int
    ballot: Ballot
    own: bool = False


class Published(Record, frozen=True):
    job: int
    round: int
    attempt: int


class Measured(Record, frozen=True):
    """A seat's signed evaluation of a milestone, own or heard."""

    evaluation: Evaluation
    seat: int
    signature: bytes
    own: bool = False


class Claimed(Record, frozen=True):
    job: int
    milestone: int


class Guarded(Record, frozen=True):
    """A blob held for a job until a time in seconds since 1970, and whether participants other than verifiers may read it."""

    job: int
    ref: BlobRef
    until: int
    open: bool


Any = Made | Received | Took | Left | Placed | Drafted | Voted | Published | Measured | Claimed | Guarded
_KIND = "book"
_decoder = msgspec.json.Decoder(Any)


class Book:
    """Records in, facts out. `write` returns only after the records are on disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.made: dict[int, dict[tuple[int, bytes], Accepted]] = defaultdict(dict)
        self.received: dict[int, set[tuple[int, int, str]]] = defaultdict(set)
        self.took: dict[int, dict[tuple[int, bytes], dict[str, Accepted]]] = defaultdict(lambda: defaultdict(dict))
        self.left: dict[int, dict[tuple[int, bytes, str], Accepted]] = defaultdict(dict)
        self.placed: dict[bytes, dict[str, Held]] = defaultdict(dict)
        self.drafts: dict[int, dict[tuple[int, int], Anchor]] = defaultdict(dict)
        self.boxes: dict[int, dict[tuple[int, int], dict[int, Ballot]]] = defaultdict(lambda: defaultdict(dict))
        self.own: dict[int, dict[tuple[int, int], Ballot]] = defaultdict(dict)
        self.published: dict[int, set[tuple[int, int]]] = defaultdict(set)
        self.measured: dict[int, dict[int, dict[int, Measured]]] = defaultdict(lambda: defaultdict(dict))
        self.claimed: dict[int, set[int]] = defaultdict(set)
        self.guarded: dict[bytes, Guarded] = {}
        for entry in journal.read():
            if entry.kind == _KIND:
                self._fold(_decoder.decode(entry.record))

    def write(self, *records: Any) -> None:
        """Journal first, fold second: what is in memory is always on disk."""
        self._journal.append_all((_KIND, encode(record)) for record in records)
        for record in records:
            self._fold(record)

    def _fold(self, record: Any) -> None:
        match record:
            case Made(accepted):
                said = accepted.statement
                self.made[said.job][(said.round, said.base)] = accepted
            case Received(receipt, coordinator):
                self.received[receipt.job].add((receipt.round, receipt.attempt, coordinator))
            case Took(accepted):
                said = accepted.statement
                self.took[said.job][(said.round, said.base)][said.trainer] = accepted
            case Left(accepted):
                said = accepted.statement
                self.left[said.job][(said.round, said.base, said.trainer)] = accepted
            case Placed(held):
                self.placed[held.receipt.blob][held.holder] = held
            case Drafted(anchor):
                self.drafts[anchor.job][(anchor.round, anchor.attempt)] = anchor
            case Voted(job, round, attempt, ballot, own):
                self.boxes[job][(round, attempt)].setdefault(ballot.seat, ballot)
                if own:
                    self.own[job][(round, attempt)] = ballot
            case Published(job, round, attempt):
                self.published[job].add((round, attempt))
            case Measured(evaluation, seat):
                self.measured[evaluation.job][evaluation.milestone].setdefault(seat, record)
            case Claimed(job, milestone):
                self.claimed[job].add(milestone)
            case Guarded(ref=ref):
                self.guarded[ref.digest] = record

    def trainer(self, job: int) -> TrainerFacts:
        return TrainerFacts(frozenset(self.made[job]), frozenset(self.received[job]), frozenset(self.claimed[job]))

    def coordinator(self, job: int) -> CoordinatorFacts:
        return CoordinatorFacts(self.took[job], self.drafts[job], self.boxes[job], frozenset(self.claimed[job]))

    def verifier(self, job: int, seat: int | None) -> VerifierFacts:
        measured = self.measured[job]
        return VerifierFacts(
            verdicts=self.own[job],
            published=frozenset(self.published[job]),
            boxes=self.boxes[job],
            evaluated=frozenset(milestone for milestone, seats in measured.items() if seat in seats),
            evaluations={milestone: sum(each.evaluation.passed for each in seats.values()) for milestone, seats in measured.items()},
            claimed=frozenset(self.claimed[job]),
        )

    def claimed_all(self, job: int, milestone: int) -> None:
        self.write(Claimed(job, milestone))
