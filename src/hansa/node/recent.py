"""What was used a moment ago, kept within a bound: a round's blobs and models are read many times and change once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """Values by digest; the one unused for longest gives way when their sizes together exceed `bound`, in the unit of `size`."""

    def __init__(self, bound: int, size: Callable[[V], int]) -> None:
        self._bound, self._size = bound, size
        self._values: OrderedDict[bytes, V] = OrderedDict()
        self._total = 0

    def get(self, digest: bytes) -> V | None:
        """The value, from now on the most recent; None when it is not kept."""
        if digest in self._values:
            self._values.move_to_end(digest)
        return self._values.get(digest)

    def put(self, digest: bytes, value: V) -> None:
        """Keep a value, unless it alone exceeds the bound."""
        self.drop(digest)
        if self._size(value) > self._bound:
            return
        self._values[digest] = value
        self._total += self._size(value)
        while self._total > self._bound:
            _, old = self._values.popitem(last=False)
            self._total -= self._size(old)

    def drop(self, digest: bytes) -> None:
        """Keep it no longer."""
        old = self._values.pop(digest, None)
        if old is not None:
            self._total -= self._size(old)
