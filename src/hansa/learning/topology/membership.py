"""Who takes part: nodes join at round borders and leave at any moment, and everybody who saw the same events sees the same roster.

Every grouping (tree, ring, pairs, grid) is a function of the roster's members and the public seed; the order of arrival plays no part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from hansa.core.encoding import encode, sha256
from hansa.core.errors import ProtocolError
from hansa.core.types import ZERO_DIGEST, Digest

MAX_NAME = 128


class Join(msgspec.Struct, frozen=True, tag="join", forbid_unknown_fields=True):
    """A node asks to take part from the next border on."""

    peer: str


class Leave(msgspec.Struct, frozen=True, tag="leave", forbid_unknown_fields=True):
    """A node is gone, by its own word or because it was silent at a deadline."""

    peer: str


class Border(msgspec.Struct, frozen=True, tag="border", forbid_unknown_fields=True):
    """The next round begins."""

    round: int


Change = Join | Leave | Border


@dataclass(frozen=True, slots=True)
class Roster:
    """`members` (ascending) are counted in `round`; `gone` of them left since its border; `joining` enter at the next one.

    `revision` is a hash chain over the members of every round: peers whose revisions differ saw different events, and one of them has to
    fetch the roster and the model anew. At most `most` nodes are in it at once.
    """

    most: int
    round: int = 0
    members: tuple[str, ...] = ()
    gone: frozenset[str] = frozenset()
    joining: frozenset[str] = frozenset()
    revision: Digest = ZERO_DIGEST

    @property
    def present(self) -> tuple[str, ...]:
        """This round's members that have not left, ascending."""
        return tuple(name for name in self.members if name not in self.gone)

    def apply(self, change: Change) -> Roster:
        """The roster after an event; ProtocolError when it does not fit what came before, and then nothing has changed."""
        match change:
            case Join(peer):
                return self._join(peer)
            case Leave(peer):
                return self._leave(peer)
            case Border(round):
                return self._next(round)

    def _join(self, peer: str) -> Roster:
        if not 0 < len(peer) <= MAX_NAME:
            raise ProtocolError(f"a peer's name has 1 to {MAX_NAME} characters")
        if peer in self.present or peer in self.joining:
            raise ProtocolError(f"{peer} is in the roster already; a node joins once")
        if len(self.present) + len(self.joining) >= self.most:
            raise ProtocolError(f"the roster is full with {self.most} nodes; join after one has left, or declare a larger topology")
        return replace(self, joining=self.joining | {peer})

    def _leave(self, peer: str) -> Roster:
        if peer in self.joining:
            return replace(self, joining=self.joining - {peer})
        if peer not in self.present:
            raise ProtocolError(f"{peer} is not in the roster; only a member or a joining node can leave")
        return replace(self, gone=self.gone | {peer})

    def _next(self, round: int) -> Roster:
        if round != self.round + 1:
            raise ProtocolError(f"round {round} cannot follow round {self.round}; apply the events in the order of the record")
        members = tuple(sorted({*self.present, *self.joining}))
        revision = Digest(sha256(self.revision + encode((round, members))))
        return Roster(self.most, round, members, revision=revision)
