"""`StakeVault`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, one, several
from hansa.chain.bindings import structs
from hansa.core.ports import Call
from hansa.core.types import Address

_FINDER_BPS = Function("FINDER_BPS()", "(uint256)")
_MAX_LOCK = Function("MAX_LOCK()", "(uint40)")
_MAX_THAWS = Function("MAX_THAWS()", "(uint256)")
_MAX_THAW_DELAY = Function("MAX_THAW_DELAY()", "(uint40)")
_VICTIM_BPS = Function("VICTIM_BPS()", "(uint256)")
_CLOCK = Function("clock()", "(address)")
_COLLECT = Function("collect()", "(uint256)")
_CREDIT = Function("credit(address)", "(uint256)")
_FREE_OF = Function("freeOf(address)", "(uint256)")
_LOCK = Function("lock(address,bytes32,uint256,uint40)")
_LOCKED = Function("locked(address)", "(uint256)")
_LOCKS = Function("locks(address,bytes32)", "(address,uint40,uint256)")
_OWED = Function("owed()", "(uint256)")
_RELEASE = Function("release(bytes32)", "(uint256)")
_RELEASE_EXPIRED = Function("releaseExpired(address,bytes32)", "(uint256)")
_SERVICE_ALLOWED = Function("serviceAllowed(address,address)", "(bool)")
_SET_SERVICE = Function("setService(address,bool)")
_SLASH = Function("slash(bytes32,uint256,address,address)", "(uint256)")
_STAKE = Function("stake(uint256)")
_STAKE_FOR = Function("stakeFor(address,uint256)")
_STAKED = Function("staked(address)", "(uint256)")
_THAW = Function("thaw(uint256)")
_THAW_DELAY = Function("thawDelay()", "(uint40)")
_THAWING = Function("thawing(address)", "(uint256)")
_THAWS_OF = Function("thawsOf(address)", "((uint216,uint40)[])")
_TOKEN = Function("token()", "(address)")
_WITHDRAW = Function("withdraw()", "(uint256)")


class StakeVault:
    def __init__(self, address: Address) -> None:
        self.address = address

    def finder_bps(self) -> View[int]:
        return _FINDER_BPS.view(one(int), self.address)

    def max_lock(self) -> View[int]:
        return _MAX_LOCK.view(one(int), self.address)

    def max_thaws(self) -> View[int]:
        return _MAX_THAWS.view(one(int), self.address)

    def max_thaw_delay(self) -> View[int]:
        return _MAX_THAW_DELAY.view(one(int), self.address)

    def victim_bps(self) -> View[int]:
        return _VICTIM_BPS.view(one(int), self.address)

    def clock(self) -> View[Address]:
        return _CLOCK.view(one(Address), self.address)

    def collect(self) -> Call:
        return _COLLECT.call(self.address)

    def credit(self, account: Address) -> View[int]:
        return _CREDIT.view(one(int), self.address, account)

    def free_of(self, account: Address) -> View[int]:
        return _FREE_OF.view(one(int), self.address, account)

    def lock(self, account: Address, claim: bytes, amount: int, until: int) -> Call:
        return _LOCK.call(self.address, account, claim, amount, until)

    def locked(self, account: Address) -> View[int]:
        return _LOCKED.view(one(int), self.address, account)

    def locks(self, service: Address, claim: bytes) -> View[tuple[Address, int, int]]:
        return _LOCKS.view(several(tuple[Address, int, int]), self.address, service, claim)

    def owed(self) -> View[int]:
        return _OWED.view(one(int), self.address)

    def release(self, claim: bytes) -> Call:
        return _RELEASE.call(self.address, claim)

    def release_expired(self, service: Address, claim: bytes) -> Call:
        return _RELEASE_EXPIRED.call(self.address, service, claim)

    def service_allowed(self, account: Address, service: Address) -> View[bool]:
        return _SERVICE_ALLOWED.view(one(bool), self.address, account, service)

    def set_service(self, service: Address, allowed: bool) -> Call:
        return _SET_SERVICE.call(self.address, service, allowed)

    def slash(self, claim: bytes, amount: int, victim: Address, finder: Address) -> Call:
        return _SLASH.call(self.address, claim, amount, victim, finder)

    def stake(self, amount: int) -> Call:
        return _STAKE.call(self.address, amount)

    def stake_for(self, account: Address, amount: int) -> Call:
        return _STAKE_FOR.call(self.address, account, amount)

    def staked(self, account: Address) -> View[int]:
        return _STAKED.view(one(int), self.address, account)

    def thaw(self, amount: int) -> Call:
        return _THAW.call(self.address, amount)

    def thaw_delay(self) -> View[int]:
        return _THAW_DELAY.view(one(int), self.address)

    def thawing(self, account: Address) -> View[int]:
        return _THAWING.view(one(int), self.address, account)

    def thaws_of(self, account: Address) -> View[tuple[structs.Thaw, ...]]:
        return _THAWS_OF.view(one(tuple[structs.Thaw, ...]), self.address, account)

    def token(self) -> View[Address]:
        return _TOKEN.view(one(Address), self.address)

    def withdraw(self) -> Call:
        return _WITHDRAW.call(self.address)
