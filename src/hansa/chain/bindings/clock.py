"""`Clock`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, one
from hansa.core.ports import Call
from hansa.core.types import Address

_MAX_GAP = Function("MAX_GAP()", "(uint40)")
_MIN_GAP = Function("MIN_GAP()", "(uint40)")
_EXTENSION = Function("extension()", "(uint40)")
_LAST = Function("last()", "(uint40)")
_MAXGAP = Function("maxGap()", "(uint40)")
_TICK = Function("tick()", "(uint40)")
_TIME = Function("time()", "(uint40)")


class Clock:
    def __init__(self, address: Address) -> None:
        self.address = address

    def max_gap(self) -> View[int]:
        return _MAX_GAP.view(one(int), self.address)

    def min_gap(self) -> View[int]:
        return _MIN_GAP.view(one(int), self.address)

    def extension(self) -> View[int]:
        return _EXTENSION.view(one(int), self.address)

    def last(self) -> View[int]:
        return _LAST.view(one(int), self.address)

    def maxGap(self) -> View[int]:
        return _MAXGAP.view(one(int), self.address)

    def tick(self) -> Call:
        return _TICK.call(self.address)

    def time(self) -> View[int]:
        return _TIME.view(one(int), self.address)
