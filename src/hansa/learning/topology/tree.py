"""Hierarchical summing: partial aggregates travel up a tree of any shape and come out as the star's aggregate, bit for bit.

Integer sums do not depend on how they are bracketed, so this holds for every rule that treats each update alone and then adds (weighted
mean, norm-clipped mean). Every subtotal names whose updates are in it: that is what keeps an update from being counted twice when a node
in the middle dies and those below it report to its parent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.topology.declaration import MAX_PEERS
from hansa.model.aggregate import Aggregate
from hansa.model.update import Update

Prepare = Callable[[Update], Update]
"""What a linear rule does to each update alone before it is added, such as clipping its norm."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Who reports to whom: `parents` of every node but the `root`. FormatError when it is no tree under the root."""

    root: str
    parents: Mapping[str, str]
    _children: dict[str, tuple[str, ...]] = field(init=False, compare=False, repr=False)
    _bottom_up: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.parents) > MAX_PEERS or self.root in self.parents:
            raise FormatError(f"a tree has a root without a parent and at most {MAX_PEERS} nodes below it")
        children: dict[str, list[str]] = {}
        for child in sorted(self.parents):
            children.setdefault(self.parents[child], []).append(child)
        order = [self.root]
        for name in order:
            order.extend(children.get(name, ()))
        if len(order) != len(self.parents) + 1:
            stray = sorted(self.parents.keys() - set(order))
            raise FormatError(f"{stray[0]} is not below the root {self.root}; follow its parents to the root, without circles")
        object.__setattr__(self, "_children", {name: tuple(below) for name, below in children.items()})
        object.__setattr__(self, "_bottom_up", tuple(reversed(order)))

    @classmethod
    def by_fanout(cls, root: str, nodes: Sequence[str], fanout: int) -> Hierarchy:
        """Nodes filled in level by level, in the given order, each with at most `fanout` below it."""
        if fanout < 1 or len({root, *nodes}) != len(nodes) + 1:
            raise FormatError("a tree needs a fan-out of at least 1 and every node once")
        order = (root, *nodes)
        return cls(root, {name: order[place // fanout] for place, name in enumerate(nodes)})

    def children(self, name: str) -> tuple[str, ...]:
        """Those who report to `name`, ascending."""
        return self._children.get(name, ())

    def bottom_up(self) -> tuple[str, ...]:
        """Every node after all that are below it."""
        return self._bottom_up

    def below(self, name: str) -> frozenset[str]:
        """`name` and everybody under it."""
        found = [name]
        for each in found:
            found.extend(self.children(each))
        return frozenset(found)

    def without(self, dead: str) -> Hierarchy:
        """The tree in which those below `dead` report to its parent; ProtocolError for the root, whose place a standby takes."""
        if dead not in self.parents:
            raise ProtocolError(f"{dead} has no parent that could take over; a standby takes a root's place, nobody that of a stranger")
        above = self.parents[dead]
        parents = {child: above if parent == dead else parent for child, parent in self.parents.items() if child != dead}
        return Hierarchy(self.root, parents)


@dataclass(frozen=True, eq=False, slots=True)
class Subtotal:
    """What a node reports: the sum of its own update and of everything reported to it, and whose updates those are (ascending)."""

    sender: str
    round: int
    aggregate: Aggregate
    contributors: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.contributors) != self.aggregate.count or list(self.contributors) != sorted(set(self.contributors)):
            raise FormatError(f"the subtotal of {self.sender} must name its {self.aggregate.count} contributors once each, ascending")


class Hub:
    """One node's round: takes the subtotals of those below it, gives up those that are silent, and reports one sum."""

    def __init__(self, name: str, hierarchy: Hierarchy, round: int, own: Update | None = None) -> None:
        self._name, self._tree, self._round = name, hierarchy, round
        self._parts: dict[str, Subtotal] = {}
        self._closed = False
        if own is not None:
            self._parts[name] = Subtotal(name, round, Aggregate.of([own]), (name,))

    @property
    def waiting(self) -> tuple[str, ...]:
        """Children that have neither reported nor been given up nor been counted in another's subtotal, ascending."""
        counted = self._counted()
        return tuple(child for child in self._tree.children(self._name) if child not in self._parts and child not in counted)

    def receive(self, subtotal: Subtotal) -> None:
        """Add a child's subtotal; one that is counted already changes nothing. ProtocolError when it may not be added."""
        if self._closed or subtotal.round != self._round:
            raise ProtocolError(f"a subtotal of round {subtotal.round} comes too late or too early for {self._name}")
        if subtotal.sender not in self._tree.children(self._name):
            raise ProtocolError(f"{subtotal.sender} does not report to {self._name}, or was given up; those below it report themselves")
        strangers = set(subtotal.contributors) - self._tree.below(subtotal.sender)
        if strangers:
            raise ProtocolError(f"the subtotal of {subtotal.sender} counts {sorted(strangers)[0]}, who is not below it")
        twice = self._counted() & set(subtotal.contributors)
        if twice == set(subtotal.contributors):
            return
        if twice:
            raise ProtocolError(f"{sorted(twice)[0]} is counted already; {subtotal.sender} must send the sum of the others alone")
        self._parts[subtotal.sender] = subtotal

    def give_up(self, dead: str) -> tuple[str, ...]:
        """Let those below a silent child report here instead, and say who they are; what it had reported before stays counted."""
        if dead not in self._tree.children(self._name):
            raise ProtocolError(f"{dead} does not report to {self._name} and cannot be given up by it")
        orphans = self._tree.children(dead)
        self._tree = self._tree.without(dead)
        return orphans

    def close(self) -> Subtotal | None:
        """The sum of all parts, in ascending order of who sent them; None when there is none. Nothing is taken afterwards."""
        self._closed = True
        if not self._parts:
            return None
        first, *others = (self._parts[sender] for sender in sorted(self._parts))
        aggregate = first.aggregate
        for part in others:
            aggregate = aggregate + part.aggregate
        return Subtotal(self._name, self._round, aggregate, tuple(sorted(self._counted())))

    def _counted(self) -> set[str]:
        return {name for part in self._parts.values() for name in part.contributors}


def gather(
    hierarchy: Hierarchy, updates: Mapping[str, Update], round: int, *, dead: Collection[str] = (), prepare: Prepare = lambda update: update
) -> Subtotal:
    """A whole round over the tree in which nodes in `dead` never report; ProtocolError when no update reaches the root."""
    reported: dict[str, Subtotal | None] = {}
    for name in hierarchy.bottom_up():
        if name in dead:
            continue
        own = updates.get(name)
        hub = Hub(name, hierarchy, round, None if own is None else prepare(own))
        # Giving up a child brings its children to the list.
        while hub.waiting:
            for child in hub.waiting:
                subtotal = reported.get(child)
                if subtotal is None:
                    hub.give_up(child)
                else:
                    hub.receive(subtotal)
        reported[name] = hub.close()
    total = reported.get(hierarchy.root)
    if total is None:
        raise ProtocolError("no update reached the root; a round without any has no aggregate")
    return total
