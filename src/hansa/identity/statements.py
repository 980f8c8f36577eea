"""The protocol's signed statements: frozen values that know their EIP-712 type and the name of the domain they are signed in."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from hansa.core.ports import Signer
from hansa.core.types import Address, Digest
from hansa.identity.keys import recover
from hansa.identity.typed import Domain, StructType


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A statement that an account signs; the fields stand in the order of the EIP-712 type, whose name is the class's.

    `Domain` gives chain and contract; the domain's name is the statement's own, so one cannot be signed in another's domain.
    """

    TYPE: ClassVar[StructType]
    DOMAIN: ClassVar[str] = "hansa"

    def digest(self, domain: Domain) -> Digest:
        """The 32 bytes that are signed; FormatError when a field does not fit its type."""
        if domain.name != self.DOMAIN:
            domain = msgspec.structs.replace(domain, name=self.DOMAIN)
        return self.TYPE.digest(domain, msgspec.structs.astuple(self))

    def sign(self, domain: Domain, signer: Signer) -> bytes:
        """65 bytes r ‖ s ‖ v."""
        return signer.sign(self.digest(domain))

    def signer_of(self, domain: Domain, signature: bytes) -> Address:
        """Whose signature this is; IdentityError when it is malformed. Whether that account may say so is the caller's to judge."""
        return recover(self.digest(domain), signature)


class UpdateStatement(Statement, frozen=True, forbid_unknown_fields=True):
    """A trainer's word: from model `base` and `dataset` (salted digest, R17) came `update` (blob digest and size) of this weight."""

    TYPE = StructType(
        "UpdateStatement(uint256 job,uint32 round,address trainer,bytes32 base,bytes32 update,uint64 size,uint32 weight,bytes32 dataset)"
    )
    job: int
    round: int
    trainer: Address
    base: bytes
    update: bytes
    size: int
    weight: int
    dataset: bytes


class UpdateReceipt(Statement, frozen=True, forbid_unknown_fields=True):
    """The coordinator's word that it holds a trainer's update in this attempt (R5)."""

    TYPE = StructType("UpdateReceipt(uint256 job,uint32 round,uint32 attempt,address trainer,bytes32 update)")
    job: int
    round: int
    attempt: int
    trainer: Address
    update: bytes


class HoldReceipt(Statement, frozen=True, forbid_unknown_fields=True):
    """A holder's word that it serves a blob of `size` bytes until this time, in seconds since 1970 (R17)."""

    TYPE = StructType("HoldReceipt(uint256 job,uint32 round,bytes32 blob,uint64 size,uint40 until)")
    job: int
    round: int
    blob: bytes
    size: int
    until: int


class RoundNotice(Statement, frozen=True, forbid_unknown_fields=True):
    """The coordinator's word that a round's attempt is open on model `base` until `deadline`, in seconds since 1970."""

    TYPE = StructType("RoundNotice(uint256 job,uint32 round,uint32 attempt,bytes32 base,uint40 deadline)")
    job: int
    round: int
    attempt: int
    base: bytes
    deadline: int


class Attestation(Statement, frozen=True, forbid_unknown_fields=True):
    """A verifier's verdict on an anchor; the Cohort contract checks it, so it is signed in that contract's domain."""

    TYPE = StructType("Attestation(uint256 job,uint32 round,uint32 attempt,bytes32 anchor,uint8 verdict,bytes32 digest)")
    DOMAIN = "hansa Cohort"
    job: int
    round: int
    attempt: int
    anchor: bytes
    verdict: int
    # The wire and the contract say `digest`, a name the method above has taken.
    finding: bytes = msgspec.field(name="digest")


class Evaluation(Statement, frozen=True, forbid_unknown_fields=True):
    """A verifier's measurement of a milestone's model on an opened shard (R11), in the Acceptance contract's domain."""

    TYPE = StructType("Evaluation(uint256 job,uint8 milestone,bytes32 model,bytes32 shard,int64 metric,int64 baseline,bool passed)")
    DOMAIN = "hansa Acceptance"
    job: int
    milestone: int
    model: bytes
    shard: bytes
    metric: int
    baseline: int
    passed: bool
