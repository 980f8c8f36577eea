"""`JobMarket`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, one, several
from hansa.chain.bindings import structs
from hansa.core.ports import Call
from hansa.core.types import Address

_MAX_BATCH = Function("MAX_BATCH()", "(uint256)")
_MAX_DESCRIPTION = Function("MAX_DESCRIPTION()", "(uint256)")
_MAX_DURATION = Function("MAX_DURATION()", "(uint40)")
_MAX_FEE_BPS = Function("MAX_FEE_BPS()", "(uint256)")
_CLAIM_REFUND = Function("claimRefund(uint256)")
_CLOCK = Function("clock()", "(address)")
_COLLECT = Function("collect()", "(uint256)")
_COMPLETE = Function("complete(uint256,bytes32,bytes)")
_COUNT = Function("count()", "(uint256)")
_CREATE_FUNDED = Function("createFunded(address,address,uint256,string[],uint256[])", "(uint256)")
_CREATE_JOB = Function("createJob(address,address,uint256,string,address)", "(uint256)")
_CREDIT = Function("credit(address)", "(uint256)")
_FEE_BPS = Function("feeBps()", "(uint256)")
_FINALIZE = Function("finalize(uint256)")
_FUND = Function("fund(uint256,uint256,bytes)")
_GET_JOB = Function("getJob(uint256)", "((address,uint40,uint8,address,address,uint256,string))")
_NET_OF = Function("netOf(uint256)", "(uint256)")
_OWED = Function("owed()", "(uint256)")
_REJECT = Function("reject(uint256,bytes32,bytes)")
_SET_BUDGET = Function("setBudget(uint256,uint256,bytes)")
_SET_PROVIDER = Function("setProvider(uint256,address,bytes)")
_SUBMIT = Function("submit(uint256,bytes32,bytes)")
_SUMMARY = Function("summary(uint256)", "(address,address,address,uint256,uint40,uint8)")
_TOKEN = Function("token()", "(address)")
_TREASURY = Function("treasury()", "(address)")


class JobMarket:
    def __init__(self, address: Address) -> None:
        self.address = address

    def max_batch(self) -> View[int]:
        return _MAX_BATCH.view(one(int), self.address)

    def max_description(self) -> View[int]:
        return _MAX_DESCRIPTION.view(one(int), self.address)

    def max_duration(self) -> View[int]:
        return _MAX_DURATION.view(one(int), self.address)

    def max_fee_bps(self) -> View[int]:
        return _MAX_FEE_BPS.view(one(int), self.address)

    def claim_refund(self, job_id: int) -> Call:
        return _CLAIM_REFUND.call(self.address, job_id)

    def clock(self) -> View[Address]:
        return _CLOCK.view(one(Address), self.address)

    def collect(self) -> Call:
        return _COLLECT.call(self.address)

    def complete(self, job_id: int, reason: bytes, arg2: bytes) -> Call:
        return _COMPLETE.call(self.address, job_id, reason, arg2)

    def count(self) -> View[int]:
        return _COUNT.view(one(int), self.address)

    def create_funded(
        self, provider: Address, evaluator: Address, expired_at: int, descriptions: tuple[str, ...], budgets: tuple[int, ...]
    ) -> Call:
        return _CREATE_FUNDED.call(self.address, provider, evaluator, expired_at, descriptions, budgets)

    def create_job(self, provider: Address, evaluator: Address, expired_at: int, description: str, hook: Address) -> Call:
        return _CREATE_JOB.call(self.address, provider, evaluator, expired_at, description, hook)

    def credit(self, account: Address) -> View[int]:
        return _CREDIT.view(one(int), self.address, account)

    def fee_bps(self) -> View[int]:
        return _FEE_BPS.view(one(int), self.address)

    def finalize(self, job_id: int) -> Call:
        return _FINALIZE.call(self.address, job_id)

    def fund(self, job_id: int, expected_budget: int, arg2: bytes) -> Call:
        return _FUND.call(self.address, job_id, expected_budget, arg2)

    def get_job(self, job_id: int) -> View[structs.Job]:
        return _GET_JOB.view(one(structs.Job), self.address, job_id)

    def net_of(self, budget: int) -> View[int]:
        return _NET_OF.view(one(int), self.address, budget)

    def owed(self) -> View[int]:
        return _OWED.view(one(int), self.address)

    def reject(self, job_id: int, reason: bytes, arg2: bytes) -> Call:
        return _REJECT.call(self.address, job_id, reason, arg2)

    def set_budget(self, job_id: int, amount: int, arg2: bytes) -> Call:
        return _SET_BUDGET.call(self.address, job_id, amount, arg2)

    def set_provider(self, job_id: int, provider: Address, arg2: bytes) -> Call:
        return _SET_PROVIDER.call(self.address, job_id, provider, arg2)

    def submit(self, job_id: int, deliverable: bytes, arg2: bytes) -> Call:
        return _SUBMIT.call(self.address, job_id, deliverable, arg2)

    def summary(self, job_id: int) -> View[tuple[Address, Address, Address, int, int, int]]:
        return _SUMMARY.view(several(tuple[Address, Address, Address, int, int, int]), self.address, job_id)

    def token(self) -> View[Address]:
        return _TOKEN.view(one(Address), self.address)

    def treasury(self) -> View[Address]:
        return _TREASURY.view(one(Address), self.address)
