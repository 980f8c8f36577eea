"""`IAcceptance`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, one
from hansa.core.types import Address

_IS_ACCEPTED = Function("isAccepted(bytes32)", "(bool)")


class IAcceptance:
    def __init__(self, address: Address) -> None:
        self.address = address

    def is_accepted(self, artifact: bytes) -> View[bool]:
        return _IS_ACCEPTED.view(one(bool), self.address, artifact)
