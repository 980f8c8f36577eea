"""Boosting by histogram federation: each round grows one level of a forest from the sites' sums of derivatives."""

from __future__ import annotations

import msgspec
import numpy as np

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.strategy import End, LocalTraining, Mean, ServerState, Start, Vectors
from hansa.learning.trees import grow, histogram_layout
from hansa.model.architectures import Trees, layout
from hansa.model.layout import Layout
from hansa.model.state import ModelState, Vector

MAX_ROWS = 1 << 40


class Boosting(msgspec.Struct, frozen=True, tag="boosting", forbid_unknown_fields=True):
    """A site sends its histogram for the forest `trees` (see `learning.trees`); the server adds them up and grows the level.

    Sites count alike, each by its rows: every update has weight 1. `rows` is the most rows of one site; a job's bound is then the largest
    first derivative of one row, 1 under the cross-entropies. Sums of rows want updates of 32 bits. A sum of second derivatives tells how
    many rows fell into a bin: where that is too much, let secure aggregation hide single sites' sums (R9).
    """

    trees: Trees
    rows: int

    def __post_init__(self) -> None:
        if not 1 <= self.rows <= MAX_ROWS:
            raise FormatError(f"a site has at most {self.rows} rows; it must be 1 to {MAX_ROWS}")

    @property
    def local(self) -> LocalTraining:
        raise ProtocolError(_NO_WEIGHTS)

    def travels(self, layout: Layout) -> Layout:
        self._check(layout)
        return histogram_layout(self.trees)

    def bounds(self, layout: Layout, bound: float) -> tuple[float, ...]:
        return bound * self.rows, float(self.rows)

    def init(self, base: ModelState) -> ServerState:
        return ()

    def told(self, layout: Layout, state: ServerState) -> Vectors:
        return ()

    def step(self, base: ModelState, mean: Mean, state: ServerState) -> tuple[ModelState, ServerState]:
        self._check(base.layout)
        if mean.weight != mean.count:
            raise ProtocolError(f"{mean.count} histograms weigh {mean.weight}; each counts its rows itself, so its weight is 1")
        return ModelState(base.layout, grow(self.trees, base.vector, np.multiply(mean.values, float(mean.weight)))), state

    def fresh(self, layout: Layout) -> Vectors:
        return ()

    def start(self, base: ModelState, told: Vectors, kept: Vectors) -> Start:
        raise ProtocolError(_NO_WEIGHTS)

    def finish(self, base: ModelState, told: Vectors, kept: Vectors, end: End) -> tuple[Vector, Vectors]:
        raise ProtocolError(_NO_WEIGHTS)

    def _check(self, found: Layout) -> None:
        if found != layout(self.trees):
            raise FormatError("the model is not the forest that the boosting strategy declares; give both the same trees")


_NO_WEIGHTS = "boosting counts rows and trains no weights; a site's part is site.contribute"
