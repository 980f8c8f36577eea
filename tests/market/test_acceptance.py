"""Sealed shards: committed before funding, proven one by one, guessable by nobody."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hansa.core import merkle
from hansa.core.errors import ProtocolError
from hansa.core.types import Address, BlobRef
from hansa.market.acceptance import Sealed, seal

CONTRACT, CLIENT = Address("0x" + "0a" * 20), Address("0x" + "0b" * 20)
REFS = [BlobRef(bytes([number]) * 32, 100 + number) for number in range(4)]


def sealed(count: int = 4) -> Sealed:
    return seal(31337, CONTRACT, CLIENT, REFS[:count])


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_each_shard_is_proven_against_the_root(count: int) -> None:
    box = sealed(count)
    for shard in box.shards:
        assert merkle.verify(box.proof(shard.milestone), box.root(), box._leaf(shard))


def test_a_proof_is_of_one_shard_in_one_place() -> None:
    box = sealed()
    for shard in box.shards:
        for false in (
            replace(shard, milestone=(shard.milestone + 1) % 4), replace(shard, salt=bytes(32)),
            replace(shard, ref=BlobRef(b"\x77" * 32, shard.ref.size)),
        ):  # fmt: skip
            assert not merkle.verify(box.proof(shard.milestone), box.root(), box._leaf(false))


@pytest.mark.parametrize("elsewhere", [{"chain_id": 1}, {"contract": CLIENT}, {"client": CONTRACT}])
def test_a_commitment_is_of_one_chain_contract_and_client(elsewhere: dict[str, object]) -> None:
    box = sealed()
    copied = replace(box, **elsewhere)
    assert copied.root() != box.root()
    with pytest.raises(ProtocolError, match="not a leaf"):
        merkle.proof([copied._leaf(shard) for shard in copied.shards], box._leaf(box.shards[0]))


def test_salts_are_new_each_time() -> None:
    first, second = sealed(), sealed()
    assert first.root() != second.root()
    assert len({shard.salt for box in (first, second) for shard in box.shards}) == 8
    assert all(len(shard.salt) == 32 for shard in first.shards)


def test_a_job_without_shards_commits_to_nothing() -> None:
    assert seal(1, CONTRACT, CLIENT, []).root() == bytes(32)
