"""What a coordinator claims of one round in one transaction, and how the contract hashes it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from eth_abi.abi import encode as abi_encode

from hansa.core import merkle
from hansa.core.encoding import keccak
from hansa.core.types import Digest
from hansa.identity.statements import UpdateStatement

_TYPES = (
    "uint256", "uint32", "uint32", "bytes32", "bytes32", "bytes32", "uint64", "bytes32", "bytes32", "uint64", "bytes32", "uint16",
)  # fmt: skip


class Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contract's `Anchor`, field by field in its order; digests are 32 bytes, sizes are bytes."""

    job: int
    round: int
    attempt: int
    base: bytes
    updates: bytes
    manifest: bytes
    manifest_size: int
    aggregate: bytes
    model: bytes
    model_size: int
    credits: bytes
    accepted: int

    def digest(self) -> Digest:
        """keccak256(abi.encode(anchor)): what the contract stores and verifiers sign."""
        return Digest(keccak(abi_encode(_TYPES, msgspec.structs.astuple(self))))


def update_leaf(statement: UpdateStatement) -> bytes:
    """Leaf of `Anchor.updates`: job, round, trainer, update digest and weight, hashed twice."""
    fields = (statement.job, statement.round, statement.trainer, statement.update, statement.weight)
    return merkle.leaf(abi_encode(("uint256", "uint32", "address", "bytes32", "uint32"), fields))


def updates_root(statements: Iterable[UpdateStatement]) -> Digest:
    """Merkle root over the accepted updates, in whatever order they came."""
    return merkle.root([update_leaf(statement) for statement in statements])
