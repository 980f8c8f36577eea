"""`OpenGate`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, one
from hansa.core.types import Address

_IS_ALLOWED = Function("isAllowed(address,uint8,bytes)", "(bool)")
_IS_REVOKED = Function("isRevoked(address,uint8)", "(bool)")


class OpenGate:
    def __init__(self, address: Address) -> None:
        self.address = address

    def is_allowed(self, arg0: Address, arg1: int, arg2: bytes) -> View[bool]:
        return _IS_ALLOWED.view(one(bool), self.address, arg0, arg1, arg2)

    def is_revoked(self, arg0: Address, arg1: int) -> View[bool]:
        return _IS_REVOKED.view(one(bool), self.address, arg0, arg1)
