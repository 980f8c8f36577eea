"""Verdicts and evaluations heard from verifiers: checked once, at the door, so that everything in the book can go into a call."""

from __future__ import annotations

import msgspec

from hansa.chain.deployment import Contracts
from hansa.core.encoding import decode
from hansa.core.errors import IdentityError, ProtocolError
from hansa.core.types import Address, Judgement
from hansa.identity.statements import Attestation, Evaluation
from hansa.identity.typed import Domain
from hansa.node.book import Book
from hansa.node.directory import Directory
from hansa.node.obligations import contradicts
from hansa.node.records import Contradicted, Measured, Voted
from hansa.rounds.duties import Ballot
from hansa.rounds.job import JobState


class SignedVerdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A verifier's attestation as it travels."""

    attestation: Attestation
    seat: int
    signature: bytes


class SignedEvaluation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A verifier's evaluation as it travels."""

    evaluation: Evaluation
    seat: int
    signature: bytes


def contract_domain(domain: Domain, contract: str) -> Domain:
    """The EIP-712 domain in which a contract checks statements: the same chain, the contract's own address."""
    return msgspec.structs.replace(domain, contract=contract)


def ballot_reached(body: bytes, job: JobState) -> bool:
    """Whether a job's state has come to the anchor that a verdict is about; the ledger may have told its sender first."""
    said = decode(body, SignedVerdict, limit=1 << 16).attestation
    at, now = (said.round, said.attempt), (job.round, job.attempt)
    return now > at or (now == at and job.anchor is not None)


def heard(voted: Voted, anchor: bytes, book: Book, now: float) -> tuple[Voted | Contradicted, ...]:
    """What a checked verdict adds to the book: a seat's first one counts, one that contradicts it is evidence, repetition is nothing."""
    at = (voted.round, voted.attempt)
    first = book.boxes[voted.job][at].get(voted.ballot.seat)
    if first is None:
        return (voted,)
    known = (*at, voted.ballot.seat) in book.contradicted[voted.job]
    if known or not contradicts(first, voted.ballot, anchor):
        return ()
    return (Contradicted(voted.job, *at, anchor, voted.ballot, now),)


def read_ballot(body: bytes, job: JobState | None, contracts: Contracts, domain: Domain, directory: Directory) -> Voted:
    """A verdict on the anchor that is under judgement now, signed by the seat that it names; ProtocolError or IdentityError otherwise."""
    signed = decode(body, SignedVerdict, limit=1 << 16)
    said = signed.attestation
    if job is None or job.anchor is None or (said.round, said.attempt) != (job.round, job.attempt):
        raise ProtocolError("the verdict is about an anchor that is not under judgement now")
    if said.job != job.id or said.anchor != job.anchor.digest() or said.verdict not in (1, 2, 3):
        raise ProtocolError("the verdict names another anchor or no known judgement")
    _check_seat(job, signed.seat, said.signer_of(contract_domain(domain, contracts.cohort.address), signed.signature), directory)
    return Voted(job.id, said.round, said.attempt, Ballot(signed.seat, Judgement(said.verdict), said.finding, signed.signature))


def read_measurement(body: bytes, job: JobState | None, contracts: Contracts, domain: Domain, directory: Directory) -> Measured:
    """An evaluation of a milestone whose shard is open, signed by the seat that it names; ProtocolError or IdentityError otherwise."""
    signed = decode(body, SignedEvaluation, limit=1 << 16)
    said = signed.evaluation
    if job is None or said.job != job.id or (said.milestone, said.shard) not in job.shards:
        raise ProtocolError("the evaluation is of a shard that is not open in this job")
    last = (said.milestone + 1) * job.rounds_per_milestone
    if len(job.final) < last or job.final[last - 1].anchor.model != said.model:
        raise ProtocolError("the evaluation is of another model than the milestone's last")
    _check_seat(job, signed.seat, said.signer_of(contract_domain(domain, contracts.acceptance.address), signed.signature), directory)
    return Measured(said, signed.seat, signed.signature)


def _check_seat(job: JobState, seat: int, key: Address, directory: Directory) -> None:
    if not 0 <= seat < len(job.verifiers) or directory.account_of(key) != job.verifiers[seat]:
        raise IdentityError("the statement is not signed by the verifier of that seat")
