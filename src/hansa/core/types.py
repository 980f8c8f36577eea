"""The nouns every room shares: frozen values, integers for money, bytes for digests."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NewType

import msgspec

Digest = NewType("Digest", bytes)
"""32 bytes: sha256 UnixFS root of a blob, sha256 of a spec's RFC 8785 form, or keccak-256 inside Merkle trees and contracts."""

Address = NewType("Address", str)
"""An EVM account, "0x" and 40 lower-case hexadecimal digits (one spelling, so that equality is identity)."""

JobId = NewType("JobId", int)
Wei = NewType("Wei", int)
"""Money in the token's smallest unit; never a float."""

ZERO_DIGEST = Digest(bytes(32))
ZERO_ADDRESS = Address("0x" + "00" * 20)


class Role(IntEnum):
    """A seat's role on the ledger; the numbers are the contracts'."""

    TRAINER = 1
    COORDINATOR = 2
    VERIFIER = 3


class Judgement(IntEnum):
    """What a verifier says of an anchor; the numbers are the contracts'."""

    VALID = 1
    FETCHED = 2
    WRONG = 3


class BlobRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A blob's name: UnixFS root digest (sha256) and size in bytes, which decides the codec (raw up to 1 MiB, dag-pb above)."""

    digest: bytes
    size: int


class Peer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where and who a node is, as the ledger records it: account, https base URL, sha256 of its DER certificate."""

    account: str
    url: str
    certificate: bytes


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Work to be done: the same task gives the same result under the same profile."""

    kind: str
    spec: bytes
    inputs: tuple[bytes, ...]
    seed: int
    profile: str


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a task produced: output digests, the root of its trace (zero where none is kept), measured values."""

    outputs: tuple[bytes, ...]
    trace: bytes
    metrics: dict[str, float]


class FaultKind(StrEnum):
    """Ways to break the protocol; what each costs is the penalty table's business, not the observer's."""

    LATE = "late"
    WRONG_AGGREGATE = "wrong aggregate"
    WRONG_BASE = "wrong base model"
    WRONG_MODEL = "wrong model"
    WRONG_CREDITS = "wrong credits"
    OMITTED_UPDATE = "omitted registered update"
    FORGED_UPDATE = "update not signed by a seated trainer"
    BELOW_QUORUM = "fewer updates than the quorum"
    UNAVAILABLE = "blob not served"
    EQUIVOCATION = "two signed statements that contradict each other"


class Fault(msgspec.Struct, frozen=True):
    """An observed breach: who, what, and the evidence in words."""

    account: str
    kind: FaultKind
    detail: str


class Verdict(msgspec.Struct, frozen=True):
    """A verifier's finding on one anchor: judgement, the digest it signs, and the faults that led to it."""

    judgement: Judgement
    digest: bytes
    faults: tuple[Fault, ...] = ()


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed request: who says what kind of thing to whom, for which job and round; `identity.envelope` makes and opens it.

    `body_digest` is the sha256 of the body's bytes; `nonce` is 32 random bytes; `deadline` is in seconds since 1970; job and round are
    zero where none applies; `signature` is 65 bytes over the EIP-712 digest of the other fields.
    """

    sender: str
    recipient: str
    kind: str
    job: int
    round: int
    body_digest: bytes
    nonce: bytes
    deadline: int
    signature: bytes = b""
