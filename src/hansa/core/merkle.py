"""Merkle trees that OpenZeppelin's `MerkleProof` accepts: sorted pairs, keccak-256, leaves hashed twice by their makers."""

from __future__ import annotations

from collections.abc import Sequence

from hansa.core.encoding import keccak
from hansa.core.errors import ProtocolError
from hansa.core.types import ZERO_DIGEST, Digest


def _pair(a: bytes, b: bytes) -> bytes:
    return keccak(a + b if a <= b else b + a)


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    levels = [sorted(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        # An odd last node moves up unchanged: duplicating it would let two different leaf sets share a root.
        levels.append([_pair(*below[i : i + 2]) if i + 1 < len(below) else below[i] for i in range(0, len(below), 2)])
    return levels


def leaf(encoded: bytes) -> bytes:
    """keccak(keccak(encoded)): a leaf can then never be read as an inner node (second pre-image)."""
    return keccak(keccak(encoded))


def root(leaves: Sequence[bytes]) -> Digest:
    """Root over leaves in any order; zero for none."""
    return Digest(_levels(leaves)[-1][0]) if leaves else ZERO_DIGEST


def proof(leaves: Sequence[bytes], member: bytes) -> list[bytes]:
    """Sibling path of `member` from the bottom up; ProtocolError when it is no leaf."""
    levels = _levels(leaves)
    if member not in levels[0]:
        raise ProtocolError("no proof: the value is not a leaf of this tree")
    index, path = levels[0].index(member), []
    for level in levels[:-1]:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        index //= 2
    return path


def verify(path: Sequence[bytes], tree_root: bytes, member: bytes) -> bool:
    """Whether `path` leads from `member` to `tree_root`."""
    node = member
    for sibling in path:
        node = _pair(node, sibling)
    return node == tree_root
