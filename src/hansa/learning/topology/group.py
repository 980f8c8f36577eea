"""A group that averages, and what its members tell each other; the signature around each message is the transport's business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from hansa.core.errors import FormatError, ProtocolError
from hansa.core.types import Digest
from hansa.learning.topology.draw import shuffled
from hansa.learning.topology.partial import Values
from hansa.model.update import SUM_LIMIT


class Phase(IntEnum):
    """What a group waits for until the next deadline."""

    COMMITMENTS = 0
    PIECES = 1
    SUMS = 2
    APPEALS = 3
    OPENING = 4
    DONE = 5


@dataclass(frozen=True, slots=True)
class Group:
    """A group of one round: `id`, its members in ascending order, the length of their vectors, the bound of one value and the `most`
    that one member may weigh. All of it is public: nobody's message can widen it. ProtocolError when sums could reach 2^62.
    """

    id: bytes
    members: tuple[str, ...]
    size: int
    bound: int
    most: int

    def __post_init__(self) -> None:
        if len(self.members) * self.most * self.bound >= SUM_LIMIT:
            raise ProtocolError(
                f"{len(self.members)} sums of weight up to {self.most} over values up to {self.bound} can reach 2^62; divide them first"
            )
        if not self.members or list(self.members) != sorted(set(self.members)):
            raise FormatError("a group lists its members once each, in ascending order")

    def spans(self) -> list[slice]:
        """As many slices as members, their lengths one apart at most."""
        edges = [self.size * part // len(self.members) for part in range(len(self.members) + 1)]
        return [slice(*edge) for edge in zip(edges, edges[1:], strict=False)]

    def reducers(self, slice: int, committed: Sequence[str], attempt: int) -> tuple[str, ...]:
        """The two members (one where there is only one) that sum a slice, drawn from those who committed."""
        order = shuffled(committed, "reducers", self.id.hex(), attempt)
        return tuple(dict.fromkeys((order[slice % len(order)], order[(slice + 1) % len(order)])))


@dataclass(frozen=True, slots=True)
class Commitment:
    """To all, before anything else: the sender's weight and the digest of each slice of its input."""

    group: bytes
    sender: str
    weight: int
    digests: tuple[Digest, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """One slice of the sender's input: to that slice's reducers, or, `opened`, to all because somebody appealed."""

    group: bytes
    attempt: int
    sender: str
    slice: int
    values: Values
    opened: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Reduced:
    """To all: what a reducer says the members' slices sum up to, with the digest by which the two reducers of a slice are compared."""

    group: bytes
    attempt: int
    sender: str
    slice: int
    values: Values
    digest: Digest


@dataclass(frozen=True, slots=True)
class Appeal:
    """To all: the sender cannot settle this slice, for want of a piece or of two equal sums; every member opens its piece to all."""

    group: bytes
    attempt: int
    sender: str
    slice: int


Message = Commitment | Piece | Reduced | Appeal
