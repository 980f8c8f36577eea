"""`Multicall`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, several
from hansa.chain.bindings import structs
from hansa.core.types import Address

_AGGREGATE = Function("aggregate((address,bytes)[])", "(uint256,uint256,(bool,bytes)[])")


class Multicall:
    def __init__(self, address: Address) -> None:
        self.address = address

    def aggregate(self, calls: tuple[structs.Call, ...]) -> View[tuple[int, int, tuple[structs.Result, ...]]]:
        return _AGGREGATE.view(several(tuple[int, int, tuple[structs.Result, ...]]), self.address, calls)
