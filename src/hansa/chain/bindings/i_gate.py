"""`IGate`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, one
from hansa.core.types import Address

_IS_ALLOWED = Function("isAllowed(address,uint8,bytes)", "(bool)")
_IS_REVOKED = Function("isRevoked(address,uint8)", "(bool)")


class IGate:
    def __init__(self, address: Address) -> None:
        self.address = address

    def is_allowed(self, account: Address, role: int, data: bytes) -> View[bool]:
        return _IS_ALLOWED.view(one(bool), self.address, account, role, data)

    def is_revoked(self, account: Address, role: int) -> View[bool]:
        return _IS_REVOKED.view(one(bool), self.address, account, role)
