"""Averaging over the grid, round by round: after one round an axis a full grid holds the exact mean, with holes the error decays.

Nothing is divided before the end. A node holds a sum and its weight; a group of g hands each of its members the group's sum and weight
times L/g, where L is the least common multiple of the sizes of all groups of the round (one for who stayed away), so that every node's
mass counts L times: the total over all nodes, and with it the mean, is kept exactly, whatever the holes (Ryabinin et al. 2021,
arXiv:2103.03239, with integers in place of floats). On a full grid L/g is 1 and d rounds leave the plain sum at every node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from hansa.core.errors import ProtocolError
from hansa.core.types import Fault
from hansa.learning.topology.butterfly import GroupMember, Sent
from hansa.learning.topology.group import Group, Phase
from hansa.learning.topology.partial import Partial
from hansa.learning.topology.placement import Placement, group_id
from hansa.model.update import SUM_LIMIT

Make = Callable[[str, Group, Partial], GroupMember]


def play(machines: Mapping[str, GroupMember]) -> None:
    """Run one group to its end in memory: messages arrive in the order they were sent, those to absent members are lost."""
    names = sorted(machines)
    waiting: list[Sent] = [sent for name in names for sent in machines[name].start()]
    while True:
        while waiting:
            waiting = [sent for recipient, message in waiting if recipient in machines for sent in machines[recipient].receive(message)]
        if all(machines[name].phase is Phase.DONE for name in names):
            return
        waiting = [sent for name in names for sent in machines[name].deadline()]


@dataclass(frozen=True, slots=True)
class Averaging:
    """One averaging in progress: where nodes stand, what they hold, the next `round`, and how often everyone's mass counts by now.

    `most` is the largest weight that a node may start with.
    """

    placement: Placement
    holdings: Mapping[str, Partial]
    seed: int
    round: int
    most: int = 1
    factor: int = 1

    def __post_init__(self) -> None:
        if set(self.placement.cells) != set(self.holdings):
            raise ProtocolError("every node of an averaging stands on the grid and holds a sum; admit and remove both at once")

    def join(self, newcomers: Mapping[str, Partial]) -> Averaging:
        """With newcomers in free cells, whose sums count as often as the others' do by now."""
        placement = self.placement.admit(newcomers, self.seed, self.round)
        holdings = {**self.holdings, **{name: own.times(self.factor) for name, own in newcomers.items()}}
        return Averaging(placement, holdings, self.seed, self.round, self.most, self.factor)

    def leave(self, leavers: Collection[str]) -> Averaging:
        """Without these; what they hold goes with them."""
        holdings = {name: held for name, held in self.holdings.items() if name not in leavers}
        return Averaging(self.placement.without(leavers), holdings, self.seed, self.round, self.most, self.factor)

    @property
    def fits(self) -> bool:
        """Whether the next round's sums stay below 2^62 if nobody stays away or fails; else it is time to divide."""
        sizes = [len(members) for members in self.placement.groups(self.round).values()]
        bound = max((held.bound for held in self.holdings.values()), default=1)
        return math.lcm(*sizes) * max(sizes, default=1) * self.most * self.factor * bound < SUM_LIMIT

    def divided(self) -> Averaging:
        """Every sum replaced by its mean, to the nearest unit, of weight 1; ProtocolError unless all weigh the same, as they do when they
        started so."""
        if len({held.weight for held in self.holdings.values()}) > 1:
            raise ProtocolError("sums of different weights cannot be divided on their way; let all start with weight 1, or end here")
        holdings = {name: Partial(held.mean(), 1, held.bound) for name, held in self.holdings.items()}
        return Averaging(self.placement, holdings, self.seed, self.round)

    def step(self, away: Collection[str] = (), make: Make = GroupMember) -> tuple[Averaging, tuple[Fault, ...]]:
        """One round along its axis in which `away` stay silent and keep what they hold, with what members saw others do wrong.

        ProtocolError when the sums would no longer stay below 2^62: then it is time to divide.
        """
        sums: dict[str, tuple[Partial, int]] = {}
        faults: dict[Fault, None] = {}
        for line, members in self.placement.groups(self.round).items():
            first = self.holdings[members[0]]
            # After a round of groups of g, L/g times the sum of g weights is at most L times the largest.
            most = self.most * self.factor
            group = Group(group_id(self.seed, self.round, line), members, first.values.size, first.bound, most)
            machines = {name: make(name, group, self.holdings[name]) for name in members if name not in away}
            play(machines)
            for name in members:
                total = machines[name].result() if name in machines else None
                sums[name] = (self.holdings[name], 1) if total is None else (total, len(machines[name].committed))
                if name in machines:
                    faults.update(dict.fromkeys(machines[name].faults))
        common = math.lcm(*(size for _, size in sums.values()))
        holdings = {name: total.times(common // size) for name, (total, size) in sums.items()}
        placement = self.placement.redrawn(self.seed, self.round)
        return Averaging(placement, holdings, self.seed, self.round + 1, self.most, self.factor * common), tuple(faults)
