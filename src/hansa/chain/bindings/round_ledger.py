"""`RoundLedger`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, one, several
from hansa.chain.bindings import structs
from hansa.core.ports import Call
from hansa.core.types import Address

_LAPSE_BPS = Function("LAPSE_BPS()", "(uint256)")
_LATE_BPS = Function("LATE_BPS()", "(uint256)")
_ANCHOR = Function("anchor((uint256,uint32,uint32,bytes32,bytes32,bytes32,uint64,bytes32,bytes32,uint64,bytes32,uint16))")
_CANCEL = Function("cancel(uint256)")
_CHALLENGE = Function("challenge((uint256,uint32,uint32,bytes32,bytes32,bytes32,uint64,bytes32,bytes32,uint64,bytes32,uint16))")
_CLAIM = Function("claim(uint256,address,uint256,bytes32[])")
_CLAIM_FEE = Function("claimFee(uint256,uint8,address)")
_CLOCK = Function("clock()", "(address)")
_CLOSE = Function("close(uint256)")
_COHORT = Function("cohort()", "(address)")
_COLLECT = Function("collect()", "(uint256)")
_CONDEMN = Function(
    "condemn((uint256,uint32,uint32,bytes32,bytes32,bytes32,uint64,bytes32,bytes32,uint64,bytes32,uint16),bytes32,uint8[],bytes[])"
)
_CREDIT = Function("credit(address)", "(uint256)")
_DEADLINES = Function("deadlines(uint256)", "(uint40,uint40,uint40,uint40)")
_EXPIRE = Function("expire(uint256)")
_FINALISE = Function(
    "finalise((uint256,uint32,uint32,bytes32,bytes32,bytes32,uint64,bytes32,bytes32,uint64,bytes32,uint16),uint8[],uint8[],bytes[])"
)
_FINALISE_BY_TIME = Function(
    "finaliseByTime((uint256,uint32,uint32,bytes32,bytes32,bytes32,uint64,bytes32,bytes32,uint64,bytes32,uint16),uint8[],uint8[],bytes[])"
)
_FIRM_FROM = Function("firmFrom(uint256,uint8)", "(uint40)")
_JOB_OF = Function("jobOf(uint256)", "(uint256)")
_JOB_STATE = Function(
    "jobState(uint256)", "((uint8,uint8,uint32,uint32,uint40,uint8,uint16,address,address,bytes32,bytes32,uint256,uint256))"
)
_LAPSE = Function("lapse((uint256,uint32,uint32,bytes32,bytes32,bytes32,uint64,bytes32,bytes32,uint64,bytes32,uint16))")
_MARKET = Function("market()", "(address)")
_MILESTONE_OF = Function("milestoneOf(uint256,uint8)", "((bytes32,bytes32,uint128,uint32))")
_OPEN = Function(
    "open(uint256,(bytes32,bytes32,bytes32,uint16,uint8,uint8,uint8,uint16,uint16,uint40,uint40,uint40,uint40,uint128,uint128,uint128,uint128,uint16))",
    "(uint256)",
)
_OWED = Function("owed()", "(uint256)")
_PAID_TO = Function("paidTo(uint256,address)", "(uint256)")
_REGISTER_UPDATE = Function("registerUpdate(uint256,uint32,bytes32)")
_REGISTRY = Function("registry()", "(address)")
_REGROUP = Function("regroup(uint256)")
_ROUND_OF = Function("roundOf(uint256,uint32)", "((bytes32,uint40,uint32,uint32,uint8,uint32,uint40,address))")
_SETTLE = Function("settle(uint256,uint8)")
_START = Function("start(uint256)")
_TAKEOVER = Function("takeover(uint256)")
_TOKEN = Function("token()", "(address)")
_VOID_ROUND = Function("voidRound((uint256,uint32,uint32,bytes32,bytes32,bytes32,uint64,bytes32,bytes32,uint64,bytes32,uint16))")


class RoundLedger:
    def __init__(self, address: Address) -> None:
        self.address = address

    def lapse_bps(self) -> View[int]:
        return _LAPSE_BPS.view(one(int), self.address)

    def late_bps(self) -> View[int]:
        return _LATE_BPS.view(one(int), self.address)

    def anchor(self, a: structs.Anchor) -> Call:
        return _ANCHOR.call(self.address, a)

    def cancel(self, job: int) -> Call:
        return _CANCEL.call(self.address, job)

    def challenge(self, a: structs.Anchor) -> Call:
        return _CHALLENGE.call(self.address, a)

    def claim(self, job: int, account: Address, cumulative: int, proof: tuple[bytes, ...]) -> Call:
        return _CLAIM.call(self.address, job, account, cumulative, proof)

    def claim_fee(self, job: int, milestone: int, account: Address) -> Call:
        return _CLAIM_FEE.call(self.address, job, milestone, account)

    def clock(self) -> View[Address]:
        return _CLOCK.view(one(Address), self.address)

    def close(self, job: int) -> Call:
        return _CLOSE.call(self.address, job)

    def cohort(self) -> View[Address]:
        return _COHORT.view(one(Address), self.address)

    def collect(self) -> Call:
        return _COLLECT.call(self.address)

    def condemn(self, a: structs.Anchor, digest: bytes, seats: tuple[int, ...], signatures: tuple[bytes, ...]) -> Call:
        return _CONDEMN.call(self.address, a, digest, seats, signatures)

    def credit(self, account: Address) -> View[int]:
        return _CREDIT.view(one(int), self.address, account)

    def deadlines(self, job: int) -> View[tuple[int, int, int, int]]:
        return _DEADLINES.view(several(tuple[int, int, int, int]), self.address, job)

    def expire(self, job: int) -> Call:
        return _EXPIRE.call(self.address, job)

    def finalise(self, a: structs.Anchor, seats: tuple[int, ...], verdicts: tuple[int, ...], signatures: tuple[bytes, ...]) -> Call:
        return _FINALISE.call(self.address, a, seats, verdicts, signatures)

    def finalise_by_time(self, a: structs.Anchor, seats: tuple[int, ...], verdicts: tuple[int, ...], signatures: tuple[bytes, ...]) -> Call:
        return _FINALISE_BY_TIME.call(self.address, a, seats, verdicts, signatures)

    def firm_from(self, job: int, milestone: int) -> View[int]:
        return _FIRM_FROM.view(one(int), self.address, job, milestone)

    def job_of(self, kernel_job: int) -> View[int]:
        return _JOB_OF.view(one(int), self.address, kernel_job)

    def job_state(self, job: int) -> View[structs.JobView]:
        return _JOB_STATE.view(one(structs.JobView), self.address, job)

    def lapse(self, a: structs.Anchor) -> Call:
        return _LAPSE.call(self.address, a)

    def market(self) -> View[Address]:
        return _MARKET.view(one(Address), self.address)

    def milestone_of(self, job: int, milestone: int) -> View[structs.Milestone]:
        return _MILESTONE_OF.view(one(structs.Milestone), self.address, job, milestone)

    def open(self, first_kernel_job: int, terms: structs.Terms) -> Call:
        return _OPEN.call(self.address, first_kernel_job, terms)

    def owed(self) -> View[int]:
        return _OWED.view(one(int), self.address)

    def paid_to(self, job: int, account: Address) -> View[int]:
        return _PAID_TO.view(one(int), self.address, job, account)

    def register_update(self, job: int, round: int, update: bytes) -> Call:
        return _REGISTER_UPDATE.call(self.address, job, round, update)

    def registry(self) -> View[Address]:
        return _REGISTRY.view(one(Address), self.address)

    def regroup(self, job: int) -> Call:
        return _REGROUP.call(self.address, job)

    def round_of(self, job: int, round: int) -> View[structs.Round]:
        return _ROUND_OF.view(one(structs.Round), self.address, job, round)

    def settle(self, job: int, milestone: int) -> Call:
        return _SETTLE.call(self.address, job, milestone)

    def start(self, job: int) -> Call:
        return _START.call(self.address, job)

    def takeover(self, job: int) -> Call:
        return _TAKEOVER.call(self.address, job)

    def token(self) -> View[Address]:
        return _TOKEN.view(one(Address), self.address)

    def void_round(self, a: structs.Anchor) -> Call:
        return _VOID_ROUND.call(self.address, a)
