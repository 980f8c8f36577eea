"""Merkle trees as the contracts verify them: sorted pairs, leaves hashed twice."""

from __future__ import annotations

from collections.abc import Sequence

from eth_abi import encode
from eth_utils import keccak


def credit_leaf(job: int, account: str, cumulative: int) -> bytes:
    return keccak(keccak(encode(["uint256", "address", "uint256"], [job, account, cumulative])))


def shard_leaf(chain: int, acceptance: str, client: str, k: int, digest: bytes, salt: bytes) -> bytes:
    types = ["uint256", "address", "address", "uint8", "bytes32", "bytes32"]
    return keccak(keccak(encode(types, [chain, acceptance, client, k, digest, salt])))


def _pair(a: bytes, b: bytes) -> bytes:
    return keccak(min(a, b) + max(a, b))


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        row = levels[-1]
        levels.append([_pair(*row[i : i + 2]) if i + 1 < len(row) else row[i] for i in range(0, len(row), 2)])
    return levels


def root(leaves: Sequence[bytes]) -> bytes:
    return _levels(leaves)[-1][0]


def proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    path = []
    for row in _levels(leaves)[:-1]:
        if index ^ 1 < len(row):
            path.append(row[index ^ 1])
        index //= 2
    return path
