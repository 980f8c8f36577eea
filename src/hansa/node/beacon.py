"""A node's share of the common randomness: one value per job from the operating system, committed, then revealed (R1, R8, R13)."""

from __future__ import annotations

import os

import msgspec
from eth_abi.abi import encode as abi_encode

from hansa.core.encoding import encode, keccak
from hansa.core.ports import Journal
from hansa.core.types import Address

_KIND = "beacon"


class _Share(msgspec.Struct, frozen=True):
    job: int
    account: str
    value: bytes
    salt: bytes


class JournalBeacon:
    """Values live in the journal before their commitment leaves the node, so that a crash never loses a reveal."""

    def __init__(self, journal: Journal, chain_id: int, contract: Address) -> None:
        self._journal, self._chain_id, self._contract = journal, chain_id, contract
        self._shares: dict[tuple[int, str], _Share] = {}
        for entry in journal.read():
            if entry.kind == _KIND:
                share = msgspec.json.decode(entry.record, type=_Share)
                self._shares[(share.job, share.account)] = share

    def commitment(self, job: int, account: Address) -> bytes:
        share = self._shares.get((job, account))
        if share is None:
            share = _Share(job, account, os.urandom(32), os.urandom(32))
            self._journal.append(_KIND, encode(share))
            self._shares[(job, account)] = share
        types = ("uint256", "address", "uint256", "address", "bytes32", "bytes32")
        return keccak(abi_encode(types, (self._chain_id, self._contract, job, account, share.value, share.salt)))

    def reveal(self, job: int, account: Address) -> tuple[bytes, bytes]:
        self.commitment(job, account)
        share = self._shares[(job, account)]
        return share.value, share.salt
