"""`ListGate`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, one
from hansa.core.ports import Call
from hansa.core.types import Address

_ACCEPT_OWNERSHIP = Function("acceptOwnership()")
_IS_ALLOWED = Function("isAllowed(address,uint8,bytes)", "(bool)")
_IS_REVOKED = Function("isRevoked(address,uint8)", "(bool)")
_LIST = Function("list(address[],uint16)")
_OWNER = Function("owner()", "(address)")
_PENDING_OWNER = Function("pendingOwner()", "(address)")
_RENOUNCE_OWNERSHIP = Function("renounceOwnership()")
_ROLES_OF = Function("rolesOf(address)", "(uint16)")
_TRANSFER_OWNERSHIP = Function("transferOwnership(address)")


class ListGate:
    def __init__(self, address: Address) -> None:
        self.address = address

    def accept_ownership(self) -> Call:
        return _ACCEPT_OWNERSHIP.call(self.address)

    def is_allowed(self, account: Address, role: int, arg2: bytes) -> View[bool]:
        return _IS_ALLOWED.view(one(bool), self.address, account, role, arg2)

    def is_revoked(self, account: Address, role: int) -> View[bool]:
        return _IS_REVOKED.view(one(bool), self.address, account, role)

    def list(self, accounts: tuple[Address, ...], mask: int) -> Call:
        return _LIST.call(self.address, accounts, mask)

    def owner(self) -> View[Address]:
        return _OWNER.view(one(Address), self.address)

    def pending_owner(self) -> View[Address]:
        return _PENDING_OWNER.view(one(Address), self.address)

    def renounce_ownership(self) -> Call:
        return _RENOUNCE_OWNERSHIP.call(self.address)

    def roles_of(self, account: Address) -> View[int]:
        return _ROLES_OF.view(one(int), self.address, account)

    def transfer_ownership(self, new_owner: Address) -> Call:
        return _TRANSFER_OWNERSHIP.call(self.address, new_owner)
