"""Averaging inside one group without a hub: each slice is summed by two drawn members, whose results everybody compares by hash.

Members commit to their inputs slice by slice, send each slice to its two reducers, and take a sum that both name. Where the two differ, or
one is missing, or a reducer lacks a piece, any member appeals: then all open their pieces of that slice, the committed inputs decide, and
the reducer that said otherwise is named. Who opens nothing is left out, and the others start again from the same commitments. Two
reducers that lie alike are believed unless somebody appeals; that the pair is drawn after the commitments is what makes that hard.

A deadline is a call of `deadline`. Messages to all must reach all by it or nobody: a public record or a second holder sees to that (R17).
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from hansa.core.errors import FormatError, ProtocolError
from hansa.core.types import Digest, Fault, FaultKind
from hansa.learning.topology.group import Appeal, Commitment, Group, Message, Phase, Piece, Reduced
from hansa.learning.topology.partial import Partial, Values, digest_of, frozen

Sent = tuple[str, Message]
"""A recipient and what it is told."""


class GroupMember:
    """One member's side; every method answers with what is to be sent, and messages to itself it has handled already."""

    def __init__(self, me: str, group: Group, own: Partial) -> None:
        if me not in group.members or (own.values.size, own.bound) != (group.size, group.bound) or own.weight > group.most:
            raise ProtocolError(f"{me} or its vector does not belong to this group; take both from one round")
        self.me, self.group, self._own = me, group, own
        self._spans = group.spans()
        self.phase, self.attempt = Phase.COMMITMENTS, 0
        self.commitments: dict[str, Commitment] = {}
        self._faults: dict[Fault, None] = {}
        self._early: dict[tuple[type[Message], str, int], Piece | Reduced | Appeal] = {}
        self._clear()

    def _clear(self) -> None:
        self._pieces: dict[tuple[int, str], Values] = {}
        self._sums: dict[tuple[int, str], Reduced] = {}
        self._opened: dict[tuple[int, str], Values] = {}
        self._appealed: set[int] = set()
        self._settled: dict[int, Values] = {}
        self._pairs: list[tuple[str, ...]] = []

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What this member saw others do wrong, in the order in which it saw it."""
        return tuple(self._faults)

    @property
    def committed(self) -> tuple[str, ...]:
        """Those whose inputs are in the sum, ascending."""
        return tuple(sorted(self.commitments))

    @property
    def weight(self) -> int:
        """Of all committed inputs together."""
        return sum(each.weight for each in self.commitments.values())

    def result(self) -> Partial | None:
        """The group's sum; None before the end, and for a member that was left out."""
        if self.phase is not Phase.DONE or self.me not in self.commitments:
            return None
        return Partial(np.concatenate([self._settled[place] for place in range(len(self._spans))]), self.weight, self.group.bound)

    def start(self) -> list[Sent]:
        """Commit to the own input."""
        digests = tuple(self._digest(place, self._slice(place)) for place in range(len(self._spans)))
        return self._to_all(Commitment(self.group.id, self.me, self._own.weight, digests))

    def receive(self, message: Message) -> list[Sent]:
        """Take a message; one of another group, attempt or phase changes nothing, a malformed one raises FormatError."""
        if message.group != self.group.id or message.sender not in self.group.members:
            return []
        if isinstance(message, Commitment):
            return self._commitment(message)
        if not 0 <= message.slice < len(self._spans):
            raise FormatError(f"{message.sender} speaks of slice {message.slice} of {len(self._spans)}")
        if not isinstance(message, Appeal) and len(message.values) != self._length(message.slice):
            raise FormatError(
                f"slice {message.slice} has {self._length(message.slice)} values, but {message.sender} sent {len(message.values)}"
            )
        # Others' clocks may be ahead: what is for the phase or attempt to come waits for it, one of a kind.
        if self.phase is Phase.COMMITMENTS or message.attempt == self.attempt + 1:
            self._early.setdefault((type(message), message.sender, message.slice), message)
            return []
        if message.attempt != self.attempt or self.phase is Phase.DONE or message.sender not in self.commitments:
            return []
        match message:
            case Appeal():
                return [] if self.phase is Phase.OPENING else self._open(message.slice)
            case Reduced():
                self._reduced(message)
                return []
            case Piece():
                return self._piece(message)

    def deadline(self) -> list[Sent]:
        """End the phase with what has arrived."""
        match self.phase:
            case Phase.COMMITMENTS:
                return self._close_commitments()
            case Phase.PIECES:
                self.phase = Phase.SUMS
                return [sent for place in self._mine() if not self._complete(place) for sent in self._appeal(place)]
            case Phase.SUMS:
                self.phase = Phase.APPEALS
                return [sent for place in range(len(self._spans)) if not self._equal(place) for sent in self._appeal(place)]
            case Phase.APPEALS:
                self.phase = Phase.OPENING if self._appealed else Phase.DONE
                return []
            case Phase.OPENING:
                return self._close_opening()
            case Phase.DONE:
                return []

    # Commitments

    def _commitment(self, message: Commitment) -> list[Sent]:
        known = self.commitments.get(message.sender)
        if self.phase is not Phase.COMMITMENTS or known == message:
            return []
        if known is not None:
            self._note(Fault(message.sender, FaultKind.EQUIVOCATION, "two commitments to one round"))
        elif len(message.digests) != len(self._spans) or not 1 <= message.weight <= self.group.most:
            raise FormatError(f"the commitment of {message.sender} needs {len(self._spans)} digests and a weight of 1 to {self.group.most}")
        else:
            self.commitments[message.sender] = message
        return []

    def _close_commitments(self) -> list[Sent]:
        late = [name for name in self.group.members if name not in self.commitments]
        self._note(*(Fault(name, FaultKind.LATE, "no commitment by the deadline") for name in late))
        if self.me not in self.commitments:
            self.phase = Phase.DONE
            return []
        return self._send_pieces()

    # Pieces and sums

    def _send_pieces(self) -> list[Sent]:
        self.phase, sent = Phase.PIECES, list[Sent]()
        self._pairs = [self.group.reducers(place, self.committed, self.attempt) for place in range(len(self._spans))]
        for place in range(len(self._spans)):
            piece = Piece(self.group.id, self.attempt, self.me, place, self._slice(place))
            for reducer in self._pairs[place]:
                sent += self.receive(piece) if reducer == self.me else [(reducer, piece)]
        early, self._early = self._early, {}
        for message in early.values():
            # A malformed one counts for nothing, and what is missing then is asked for like all that is missing.
            with suppress(FormatError, ProtocolError):
                sent += self.receive(message)
        return sent

    def _piece(self, message: Piece) -> list[Sent]:
        place, sender = message.slice, message.sender
        bound = self.commitments[sender].weight * self.group.bound
        values = frozen(message.values, self._length(place), bound, f"the slice of {sender}")
        if self._digest(place, values) != self.commitments[sender].digests[place]:
            self._note(Fault(sender, FaultKind.EQUIVOCATION, f"slice {place} is not the one it committed to"))
            return []
        if message.opened:
            self._opened[place, sender] = values
            return []
        if place not in self._mine() or (place, sender) in self._pieces:
            return []
        self._pieces[place, sender] = values
        return self._reduce(place) if self._complete(place) else []

    def _reduce(self, place: int) -> list[Sent]:
        values = self._total(place, self._pieces)
        return self._to_all(Reduced(self.group.id, self.attempt, self.me, place, values, self._digest(place, values)))

    def _reduced(self, message: Reduced) -> None:
        place, sender = message.slice, message.sender
        if sender not in self._pairs[place]:
            raise ProtocolError(f"{sender} is no reducer of slice {place}")
        values = frozen(message.values, self._length(place), self.weight * self.group.bound, f"the sum of {sender}")
        if self._digest(place, values) != message.digest:
            raise FormatError(f"the sum of {sender} is not what its digest says")
        known = self._sums.setdefault((place, sender), message)
        if known.digest != message.digest:
            self._note(Fault(sender, FaultKind.EQUIVOCATION, f"two different sums of slice {place}"))

    def _equal(self, place: int) -> bool:
        """Whether both reducers name one sum, which is taken then."""
        found = [self._sums.get((place, name)) for name in self._pairs[place]]
        first = found[0]
        if first is None or any(each is None or each.digest != first.digest for each in found):
            return False
        self._settled[place] = first.values
        return True

    # Appeals

    def _appeal(self, place: int) -> list[Sent]:
        return self._to_all(Appeal(self.group.id, self.attempt, self.me, place))

    def _open(self, place: int) -> list[Sent]:
        if place in self._appealed:
            return []
        self._appealed.add(place)
        return self._to_all(Piece(self.group.id, self.attempt, self.me, place, self._slice(place), opened=True))

    def _close_opening(self) -> list[Sent]:
        silent = {name for place in self._appealed for name in self.commitments if (place, name) not in self._opened}
        if silent:
            self._note(*(Fault(name, FaultKind.UNAVAILABLE, "did not open a slice of its input") for name in sorted(silent)))
            self.commitments = {name: each for name, each in self.commitments.items() if name not in silent}
            self.attempt += 1
            self._clear()
            if self.me not in self.commitments:
                self.phase = Phase.DONE
                return []
            return self._send_pieces()
        for place in sorted(self._appealed):
            self._decide(place)
        self.phase = Phase.DONE
        return []

    def _decide(self, place: int) -> None:
        """The sum of the opened pieces stands; a reducer that named another one, or none, is at fault."""
        right = self._total(place, self._opened)
        self._settled[place] = right
        for name in self._pairs[place]:
            said = self._sums.get((place, name))
            if said is None:
                self._note(Fault(name, FaultKind.LATE, f"no sum of slice {place}"))
            elif said.digest != self._digest(place, right):
                self._note(Fault(name, FaultKind.WRONG_AGGREGATE, f"slice {place} is not the sum of the committed inputs"))

    def _mine(self) -> list[int]:
        """Slices that this member sums."""
        return [place for place in range(len(self._spans)) if self.me in self._pairs[place]]

    def _complete(self, place: int) -> bool:
        return all((place, name) in self._pieces for name in self.commitments)

    def _total(self, place: int, pieces: dict[tuple[int, str], Values]) -> Values:
        """The sum over the committed members in ascending order of their names."""
        total = pieces[place, self.committed[0]].copy()
        for name in self.committed[1:]:
            np.add(total, pieces[place, name], out=total)
        return total

    def _note(self, *faults: Fault) -> None:
        self._faults.update(dict.fromkeys(faults))

    def _length(self, place: int) -> int:
        return self._slice(place).size

    def _slice(self, place: int) -> Values:
        return self._own.values[self._spans[place]]

    def _digest(self, place: int, values: Values) -> Digest:
        return digest_of(values, place)

    def _to_all(self, message: Message) -> list[Sent]:
        """To everybody in the group; the own copy is taken at once, and what follows from it is sent too."""
        sent: list[Sent] = [(name, message) for name in self.group.members if name != self.me]
        return sent + self.receive(message)
