"""Who earned what: a pure function of anchored facts, so that anyone recomputes the Merkle root in the anchor (R6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eth_abi.abi import encode as abi_encode

from hansa.core import merkle
from hansa.core.errors import ProtocolError
from hansa.core.types import Address, Digest, Wei

BPS = 10_000


def round_price(net: int, rounds: int, index: int) -> int:
    """Price of round `index` (from 0) of a milestone that pays `net` for `rounds`: equal parts, the last takes the remainder."""
    part = net // rounds
    return net - part * (rounds - 1) if index == rounds - 1 else part


def earned(price: int, coordinator: Address, trainers: Sequence[Address], coordinator_bps: int, verifier_bps: int) -> dict[Address, Wei]:
    """One round's shares: equal parts to the trainers, the coordinator takes its share and the dust; verifiers are paid by the contract."""
    if not trainers or len(set(trainers)) != len(trainers):
        raise ProtocolError("a paid round names each of its trainers once, and at least one")
    rest = price - price * verifier_bps // BPS
    each = (rest - price * coordinator_bps // BPS) // len(trainers)
    shares = {trainer: Wei(each) for trainer in trainers}
    shares[coordinator] = Wei(shares.get(coordinator, 0) + rest - each * len(trainers))
    return shares


def add(before: Mapping[Address, Wei], shares: Mapping[Address, Wei]) -> dict[Address, Wei]:
    """Cumulative amounts after one more round, sorted by account."""
    accounts = sorted({*before, *shares})
    return {account: Wei(before.get(account, 0) + shares.get(account, 0)) for account in accounts}


def credit_leaf(job: int, account: Address, cumulative: int) -> bytes:
    """Leaf of the credit tree: keccak(keccak(abi.encode(job, account, cumulative)))."""
    return merkle.leaf(abi_encode(("uint256", "address", "uint256"), (job, account, cumulative)))


def credits_root(job: int, cumulative: Mapping[Address, Wei]) -> Digest:
    return merkle.root([credit_leaf(job, account, amount) for account, amount in cumulative.items()])


def credit_proof(job: int, cumulative: Mapping[Address, Wei], account: Address) -> list[bytes]:
    """Proof that `account` may claim `cumulative[account]`; ProtocolError when it earned nothing."""
    leaves = [credit_leaf(job, each, amount) for each, amount in cumulative.items()]
    return merkle.proof(leaves, credit_leaf(job, account, cumulative.get(account, 0)))
