"""Partial widths for weak devices (HeteroFL, Diao et al. 2021, arXiv:2010.01264): a site trains the leading part of every hidden layer."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.strategy import Declared, End, Mean, ServerState, Vectors, moved
from hansa.model.architectures import Architecture, layout
from hansa.model.architectures.narrow import narrow
from hansa.model.layout import Layout, Tensor
from hansa.model.state import ModelState, Vector

WIDTH = "~width"
MAX_SHARES = 16


class PartialWidth(Declared, frozen=True, tag="partial-width"):
    """Devices of class k train the `shares`[k] of `architecture`; the shares fall from 1, the whole model.

    Sent: the change, zero where the class does not reach, and in "~width" 1 at its class. Server: every coordinate moves by the mean over
    the sites that cover it, new = base + mean / cover with cover the mean "~width" of the classes that reach it; a coordinate that nobody
    covers stays. A cover counts as at least 1 / total weight, what one honest site adds, so that nobody can shrink it further.
    """

    architecture: Architecture
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        falling = all(after < before for before, after in zip(self.shares, self.shares[1:], strict=False))
        if not 1 <= len(self.shares) <= MAX_SHARES or self.shares[0] != 1 or not falling or not self.shares[-1] > 0:
            raise FormatError(f"the shares of the width are 1 to {MAX_SHARES} numbers that fall from 1 and stay above 0, not {self.shares}")

    def cut(self, width: int) -> tuple[Architecture, NDArray[np.intp]]:
        """What a device of class `width` trains, and where its vector's entries lie in the whole model's."""
        if not 0 <= width < len(self.shares):
            raise ProtocolError(f"this device declares the class {width}, but the job has classes 0 to {len(self.shares) - 1}")
        return _narrow(self.architecture, self.shares[width])

    def spread(self, base: ModelState, width: int, change: Vector) -> Vector:
        """What a device of class `width` sends, from the change of the weights that it trained."""
        sent = np.zeros(base.layout.size + len(self.shares), np.float32)
        sent[self.cut(width)[1]] = change
        sent[base.layout.size + width] = 1
        return sent

    def travels(self, layout: Layout) -> Layout:
        self._check(layout)
        return Layout((*layout.tensors, Tensor(WIDTH, (len(self.shares),))))

    def bounds(self, layout: Layout, bound: float) -> tuple[float, ...]:
        return (*(bound,) * len(layout.tensors), 1.0)

    def step(self, base: ModelState, mean: Mean, state: ServerState) -> tuple[ModelState, ServerState]:
        self._check(base.layout)
        size, least = base.layout.size, 1.0 / mean.weight
        cover = np.zeros(size)
        for width in range(len(self.shares)):
            cover[self.cut(width)[1]] += mean.values[size + width]
        # Half of it tells a class that is there, rounded, from one that is not.
        change = np.divide(mean.values[:size], np.maximum(cover, least), out=np.zeros(size), where=cover > least / 2)
        return moved(base, change), state

    def finish(self, base: ModelState, told: Vectors, kept: Vectors, end: End) -> tuple[Vector, Vectors]:
        return self.spread(base, 0, end.weights - base.vector), kept

    def _check(self, found: Layout) -> None:
        if found != layout(self.architecture):
            raise FormatError("the model is not of the architecture that the strategy declares; give both the same")


@lru_cache(maxsize=64)
def _narrow(architecture: Architecture, share: float) -> tuple[Architecture, NDArray[np.intp]]:
    return narrow(architecture, share)
