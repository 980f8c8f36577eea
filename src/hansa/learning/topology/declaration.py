"""The topologies that a job or a scenario can declare, with what each can carry.

Star, tree and ring keep one model, the same for everybody; under gossip and grid every node has a model of its own.
"""

from __future__ import annotations

import msgspec

from hansa.core.errors import FormatError, ProtocolError

MAX_FANOUT = 1 << 10
MAX_SIDE = 16
"""Groups of up to 16 in any mix of sizes have a common multiple (720,720) that leaves a whole model's integers room below 2^62."""
MAX_DIMENSIONS = 8
MAX_PEERS = 1 << 20
MAX_CLOSING = 64


class _Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every topology answers; it names itself by its tag."""

    @property
    def networked(self) -> bool:
        """Whether nodes can run it over their transport; the others run in simulation."""
        return False

    @property
    def one_model(self) -> bool:
        """Whether all nodes start each round from the same model."""
        return True

    @property
    def rows_arrive(self) -> bool:
        """Whether someone sees every single update, as a rule that is not linear needs."""
        return False

    @property
    def most(self) -> int:
        """The largest number of peers it takes."""
        return MAX_PEERS

    def check_rule(self, rule: str, linear: bool) -> None:
        """Refuse a rule that needs single updates where only sums arrive (ProtocolError); a linear one fits everywhere."""
        if not linear and not self.rows_arrive:
            name = self.__struct_config__.tag
            raise ProtocolError(
                f"the rule '{rule}' needs every single update, but over a {name} only sums arrive; "
                "use the star, or a linear rule such as the weighted mean or the norm-clipped mean"
            )

    def check_peers(self, count: int) -> None:
        """Refuse more peers than fit (ProtocolError)."""
        if not 1 <= count <= self.most:
            raise ProtocolError(
                f"{count} peers do not fit a {self.__struct_config__.tag}, which takes 1 to {self.most}; declare another shape"
            )


class Star(_Declared, frozen=True, tag="star", forbid_unknown_fields=True):
    """Every trainer sends its update to the coordinator: the reference that the others are measured by."""

    @property
    def networked(self) -> bool:
        return True

    @property
    def rows_arrive(self) -> bool:
        return True


class Tree(_Declared, frozen=True, tag="tree", forbid_unknown_fields=True):
    """Trainers in a hierarchy under the coordinator, each with at most `fanout` (2 to 1024) below it; sums travel upwards."""

    fanout: int

    def __post_init__(self) -> None:
        if not 2 <= self.fanout <= MAX_FANOUT:
            raise FormatError(f"a tree's fan-out is 2 to {MAX_FANOUT}, not {self.fanout}; for a single level declare the star")


class Ring(_Declared, frozen=True, tag="ring", forbid_unknown_fields=True):
    """All-reduce around a ring: each node sends 2 (n-1)/n of a vector whatever n is, in 2 (n-1) steps one after the other."""

    @property
    def most(self) -> int:
        return 1 << 10


class Gossip(_Declared, frozen=True, tag="gossip", forbid_unknown_fields=True):
    """Each outer step every node meets one random partner (see `topology.gossip` for `momentum`, `rate` and `pull`).

    The defaults are the plain mean of the pair. After the last step nodes meet `closing` times more without training in between, each of
    which halves the variance among their models. FormatError unless 0 <= momentum < 1, 0 < rate <= 2 and momentum < pull < 2.
    """

    momentum: float = 0.0
    rate: float = 1.0
    pull: float = 1.0
    closing: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise FormatError(f"gossip's momentum is {self.momentum}; it must be 0 to below 1")
        if not 0 < self.rate <= 2:
            raise FormatError(f"gossip's rate is {self.rate}; it must be above 0 and at most 2")
        # Nodes that keep more of their old direction than they are pulled together drift apart.
        if not self.momentum < self.pull < 2:
            raise FormatError(f"gossip's pull is {self.pull}; it must be above the momentum {self.momentum} and below 2")
        if not 0 <= self.closing <= MAX_CLOSING:
            raise FormatError(f"gossip closes with {self.closing} meetings; give 0 to {MAX_CLOSING}")

    @property
    def one_model(self) -> bool:
        return False


class Grid(_Declared, frozen=True, tag="grid", forbid_unknown_fields=True):
    """Averaging without a hub on a grid of `side` ^ `dimensions` cells: one round an axis, exact when every cell is taken."""

    side: int
    dimensions: int

    def __post_init__(self) -> None:
        if not 2 <= self.side <= MAX_SIDE or not 1 <= self.dimensions <= MAX_DIMENSIONS:
            raise FormatError(
                f"a grid has side 2 to {MAX_SIDE} and 1 to {MAX_DIMENSIONS} dimensions, not {self.side} and {self.dimensions}"
            )
        if self.most > MAX_PEERS:
            raise FormatError(f"a grid of {self.most} cells exceeds the limit of {MAX_PEERS}; make it smaller")

    @property
    def one_model(self) -> bool:
        return False

    @property
    def most(self) -> int:
        return int(self.side**self.dimensions)


Topology = Star | Tree | Ring | Gossip | Grid
