"""A client's acceptance shards: salted commitments before funding, opened one by one afterwards (R11)."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec
from eth_abi.abi import encode as abi_encode

from hansa.core import merkle
from hansa.core.types import Address, BlobRef, Digest


class Shard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sealed shard: milestone, blob, salt of its commitment. Secret until opened."""

    milestone: int
    ref: BlobRef
    salt: bytes


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All shards of one job and the tree over their commitments; leaf = (chain, contract, client, milestone, digest, salt)."""

    chain_id: int
    contract: str
    client: str
    shards: tuple[Shard, ...]

    def _leaf(self, shard: Shard) -> bytes:
        types = ("uint256", "address", "address", "uint8", "bytes32", "bytes32")
        return merkle.leaf(abi_encode(types, (self.chain_id, self.contract, self.client, shard.milestone, shard.ref.digest, shard.salt)))

    def root(self) -> Digest:
        """What `Terms.acceptance` holds."""
        return merkle.root([self._leaf(shard) for shard in self.shards])

    def proof(self, milestone: int) -> list[bytes]:
        """What opening a milestone's shard needs; the salt goes with it."""
        return merkle.proof([self._leaf(shard) for shard in self.shards], self._leaf(self.shards[milestone]))


def seal(chain_id: int, contract: Address, client: Address, refs: Sequence[BlobRef]) -> Sealed:
    """Commit to one shard per milestone, salts from the operating system (R1)."""
    return Sealed(chain_id, contract, client, tuple(Shard(place, ref, os.urandom(32)) for place, ref in enumerate(refs)))
