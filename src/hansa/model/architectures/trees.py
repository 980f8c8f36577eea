"""Gradient-boosted trees, declared; a forest is a flat vector like every other model, so the same messages carry it."""

from __future__ import annotations

import msgspec
import numpy as np

from hansa.core.errors import FormatError
from hansa.model.architectures.plan import MAX_WIDTH, Entry, Plan, within
from hansa.model.state import Vector

MAX_HISTOGRAM = 1 << 26
MAX_STEPS = 4096
MAX_DEPTH = 10
MAX_BINS = 256


class Trees(msgspec.Struct, frozen=True, tag="trees", forbid_unknown_fields=True):
    """`steps` times one complete binary tree per output, of `depth` levels; the outputs are sums over the trees' leaves.

    A feature is looked at through `bins` bins with public edges, uniform from `low` to `high` (features are standardised at each site, so
    that no site's quantiles are told); a row goes right at a node when its feature's bin is above the node's. Leaves are shrunk by `rate`;
    `penalty` is the L2 term on them and `least` the smallest sum of second derivatives on either side of a split (arXiv:1603.02754, 2.2).

    Tensors, all float32: `bins` and `features` (trees, 2^depth - 1) of the inner nodes in breadth-first order, `leaves` (trees, 2^depth),
    `levels` (), the number of levels grown so far, step after step. Tree t belongs to output t mod outputs. The node that does not split
    has the last bin, so that every row goes left.
    """

    inputs: int
    steps: int
    depth: int
    outputs: int = 1
    bins: int = 32
    low: float = -3.0
    high: float = 3.0
    rate: float = 0.3
    penalty: float = 1.0
    least: float = 1.0

    def __post_init__(self) -> None:
        within("the number of inputs", self.inputs, MAX_WIDTH)
        within("the number of outputs", self.outputs, 1024)
        within("the number of boosting steps", self.steps, MAX_STEPS)
        within("the trees' depth", self.depth, MAX_DEPTH)
        within("the number of bins", self.bins, MAX_BINS, 2)
        if not -1e6 <= self.low < self.high <= 1e6:
            raise FormatError(f"the bins reach from {self.low} to {self.high}; the first must be the lower, and both within a million")
        if not (np.diff(self.edges()) > 0).all():
            raise FormatError(f"{self.bins} bins from {self.low} to {self.high} do not differ in float32; use fewer or a wider range")
        if not 0 < self.rate <= 1 or not 1e-6 <= self.penalty <= 1e6 or not 0 <= self.least <= 1e6:
            raise FormatError(
                f"rate, penalty and least are {self.rate}, {self.penalty} and {self.least}; they must be above 0 and at most 1, "
                "1e-6 to 1e6, and 0 to 1e6"
            )
        if self.histogram > MAX_HISTOGRAM:
            raise FormatError(
                f"a level's sums are {self.histogram} numbers; at most {MAX_HISTOGRAM} are allowed: use less depth or fewer bins"
            )

    @property
    def trees(self) -> int:
        return self.steps * self.outputs

    @property
    def levels(self) -> int:
        """Levels of the whole forest: rounds until it is grown."""
        return self.steps * self.depth

    @property
    def nodes(self) -> int:
        """The most nodes that one level of a tree splits."""
        return 1 << (self.depth - 1)

    @property
    def histogram(self) -> int:
        """Numbers that a site sends for one level: two sums per output, node, feature and bin."""
        return 2 * self.outputs * self.nodes * self.inputs * self.bins

    @property
    def footprint(self) -> int:
        return max(self.inputs, self.trees)

    def edges(self) -> Vector:
        """Upper edges of all bins but the last, which has none, float32 (bins - 1,); a value equal to an edge lies below it."""
        shares = np.arange(1, self.bins) / self.bins
        edges: Vector = (self.low + (self.high - self.low) * shares).astype(np.float32)
        return edges

    def plan(self) -> Plan:
        inner, leaves = (1 << self.depth) - 1, 1 << self.depth
        shapes = {"bins": (self.trees, inner), "features": (self.trees, inner), "leaves": (self.trees, leaves), "levels": ()}
        return [Entry(name, shape) for name, shape in shapes.items()]
