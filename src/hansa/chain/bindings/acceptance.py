"""`Acceptance`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, one, several
from hansa.core.ports import Call
from hansa.core.types import Address

_EVALUATION_TYPEHASH = Function("EVALUATION_TYPEHASH()", "(bytes32)")
_ACCEPT = Function("accept(uint256,uint8,bytes32,bytes32,int64,int64,uint8[],bytes[])")
_CLOCK = Function("clock()", "(address)")
_COHORT = Function("cohort()", "(address)")
_DOMAIN_SEPARATOR = Function("domainSeparator()", "(bytes32)")
_EIP712_DOMAIN = Function("eip712Domain()", "(bytes1,string,string,uint256,address,bytes32,uint256[])")
_IS_ACCEPTED = Function("isAccepted(bytes32)", "(bool)")
_LEDGER = Function("ledger()", "(address)")
_OPEN_SHARD = Function("openShard(uint256,uint8,bytes32,bytes32,bytes32[])")
_SHARD_OF = Function("shardOf(uint256,uint8)", "(bytes32)")


class Acceptance:
    def __init__(self, address: Address) -> None:
        self.address = address

    def evaluation_typehash(self) -> View[bytes]:
        return _EVALUATION_TYPEHASH.view(one(bytes), self.address)

    def accept(
        self,
        job: int,
        milestone: int,
        model: bytes,
        shard: bytes,
        metric: int,
        baseline: int,
        seats: tuple[int, ...],
        signatures: tuple[bytes, ...],
    ) -> Call:
        return _ACCEPT.call(self.address, job, milestone, model, shard, metric, baseline, seats, signatures)

    def clock(self) -> View[Address]:
        return _CLOCK.view(one(Address), self.address)

    def cohort(self) -> View[Address]:
        return _COHORT.view(one(Address), self.address)

    def domain_separator(self) -> View[bytes]:
        return _DOMAIN_SEPARATOR.view(one(bytes), self.address)

    def eip712_domain(self) -> View[tuple[bytes, str, str, int, Address, bytes, tuple[int, ...]]]:
        return _EIP712_DOMAIN.view(several(tuple[bytes, str, str, int, Address, bytes, tuple[int, ...]]), self.address)

    def is_accepted(self, model: bytes) -> View[bool]:
        return _IS_ACCEPTED.view(one(bool), self.address, model)

    def ledger(self) -> View[Address]:
        return _LEDGER.view(one(Address), self.address)

    def open_shard(self, job: int, k: int, digest: bytes, salt: bytes, proof: tuple[bytes, ...]) -> Call:
        return _OPEN_SHARD.call(self.address, job, k, digest, salt, proof)

    def shard_of(self, job: int, milestone: int) -> View[bytes]:
        return _SHARD_OF.view(one(bytes), self.address, job, milestone)
