"""Ring all-reduce on integers: n nodes, n slices, every node sends a slice to its successor and gets one from its predecessor.

In steps 0 to n-2 (reduce-scatter) a node passes on the slice that it got last with its own part added; in steps n-1 to 2n-3 (all-gather)
it passes the finished slices on. Inputs are committed first, so a ring that lost a node closes around it and starts again from the same
inputs. Equal hashes at all nodes show that all hold the same sum; who falsified a slice a ring cannot name (the grid's reducers can be).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from hansa.core.errors import FormatError, ProtocolError
from hansa.core.types import Digest, Fault, FaultKind
from hansa.learning.topology.draw import draw, shuffled
from hansa.learning.topology.partial import Partial, Values, digest_of, frozen
from hansa.model.update import SUM_LIMIT


@dataclass(frozen=True, slots=True)
class Pledge:
    """A node's word on its input, given to all before the first step: its weight and its digest."""

    sender: str
    weight: int
    digest: Digest


@dataclass(frozen=True, eq=False, slots=True)
class Passing:
    """One slice on its way to the successor: `step` 0 to 2n-3 of the ring named `ring`; `digest` covers slice, step and values."""

    ring: Digest
    sender: str
    receiver: str
    step: int
    slice: int
    values: Values
    digest: Digest


@dataclass(frozen=True, slots=True)
class Stalled:
    """A node that waits too long says for which step; 2n-2 when it waits for nothing."""

    ring: Digest
    sender: str
    step: int


class RingNode:
    """One node of a ring whose members all have pledged their inputs, each of weight 1 to `most`.

    `patience` in seconds is how long it waits for its predecessor. FormatError for a pledge that does not fit: its sender stays out.
    """

    def __init__(self, me: str, own: Partial, pledges: Mapping[str, Pledge], *, most: int, seed: int, round: int, patience: float) -> None:
        mine = pledges.get(me)
        if mine is None or (mine.weight, mine.digest) != (own.weight, own.digest()):
            raise ProtocolError(f"the pledges do not hold the input of {me}; a ring starts from pledged inputs alone")
        for name, pledge in pledges.items():
            if name != pledge.sender or not 1 <= pledge.weight <= most:
                raise FormatError(f"the pledge of {name} is another's or of weight {pledge.weight}, beyond 1 to {most}; leave {name} out")
        if len(pledges) * most * own.bound >= SUM_LIMIT:
            raise ProtocolError(f"{len(pledges)} inputs of weight up to {most} over values up to {own.bound} can reach 2^62; lower one")
        self.me, self._own, self._pledges = me, own, pledges
        self._seed, self._round, self._patience = seed, round, patience
        self.order = shuffled(pledges, "ring", seed, round)
        self.faults: list[Fault] = []
        self._begin()

    def _begin(self) -> None:
        count = len(self.order)
        pledged = [f"{name}:{self._pledges[name].weight}:{self._pledges[name].digest.hex()}" for name in self.order]
        self.id = Digest(draw("ring-id", self._seed, self._round, *pledged))
        self.weight = sum(self._pledges[name].weight for name in self.order)
        self._place = self.order.index(self.me)
        edges = [len(self._own.values) * part // count for part in range(count + 1)]
        self._spans = [slice(*edge) for edge in zip(edges, edges[1:], strict=False)]
        self._sum = self._own.values.copy()
        self._had: dict[int, Passing] = {}
        self.step = 0 if count > 1 else self.steps
        self._heard = 0.0

    @property
    def steps(self) -> int:
        """How many slices each node sends and gets."""
        return 2 * (len(self.order) - 1)

    @property
    def result(self) -> Partial | None:
        """The sum over all nodes; None until the last slice is in."""
        return Partial(self._sum.copy(), self.weight, self._own.bound) if self.step == self.steps else None

    def start(self, now: float) -> list[Passing]:
        """What the node sends first."""
        self._heard = now
        return [self._passing(0)] if self.steps else []

    def receive(self, message: Passing, now: float) -> list[Passing]:
        """Take a slice, early ones too, and say what goes to the successor now; slices of another ring or known ones change nothing.

        FormatError when the message is malformed, ProtocolError when it is not from the predecessor.
        """
        if message.ring != self.id:
            return []
        before = self.order[self._place - 1]
        if (message.sender, message.receiver) != (before, self.me):
            raise ProtocolError(f"{self.me} takes slices from {before} alone, not from {message.sender} for {message.receiver}")
        if not 0 <= message.step < self.steps or message.slice != self._slice_at(message.step + 1):
            raise FormatError(f"slice {message.slice} in step {message.step} is not what {before} has to send")
        span, bound = self._spans[message.slice], self.weight * self._own.bound
        values = frozen(message.values, span.stop - span.start, bound, f"the slice of {before}")
        if digest_of(values, message.step, message.slice) != message.digest:
            raise FormatError(f"the slice of {before} is not what its digest says; ask for it again")
        if message.step in self._had:
            if self._had[message.step].digest != message.digest:
                detail = f"two different slices {message.slice} in step {message.step}"
                self.faults.append(Fault(before, FaultKind.EQUIVOCATION, detail))
            return []
        self._had[message.step] = message
        sent = []
        while self.step in self._had:
            self._take(self._had[self.step])
            self._heard, self.step = now, self.step + 1
            if self.step < self.steps:
                sent.append(self._passing(self.step))
        return sent

    def stalled(self, now: float) -> Stalled | None:
        """What the node tells everybody when its predecessor has been silent for longer than the patience, or when it is asked and done."""
        done = self.step == self.steps
        return Stalled(self.id, self.me, self.step) if done or now - self._heard > self._patience else None

    def close_around(self, dead: Collection[str], now: float) -> list[Passing]:
        """Leave the dead out and start again from the pledged inputs; what came from the old ring no longer counts."""
        if self.me in dead or not set(dead) <= set(self.order):
            raise ProtocolError("a ring closes around others that are in it")
        self.order = tuple(name for name in self.order if name not in dead)
        self._begin()
        return self.start(now)

    def _slice_at(self, step: int) -> int:
        """Which slice this node sends in a step; its predecessor sends in the step before what this node sends in the next one."""
        return (self._place - step) % len(self.order)

    def _passing(self, step: int) -> Passing:
        place = self._slice_at(step)
        values = self._sum[self._spans[place]].copy()
        after = self.order[(self._place + 1) % len(self.order)]
        return Passing(self.id, self.me, after, step, place, values, digest_of(values, step, place))

    def _take(self, message: Passing) -> None:
        span = self._spans[message.slice]
        if message.step < len(self.order) - 1:
            np.add(self._sum[span], message.values, out=self._sum[span])
        else:
            self._sum[span] = message.values


def find_dead(order: tuple[str, ...], ring: Digest, heard: Collection[Stalled]) -> tuple[str, ...]:
    """Around whom a stalled ring closes: those who did not answer; if all did, the one whose successor waits for the earliest step.

    Everybody downstream of a gap waits for a later step, one more for each place, so that the earliest wait points at the gap.
    """
    steps = {each.sender: each.step for each in heard if each.ring == ring and each.sender in order}
    silent = tuple(name for name in order if name not in steps)
    if silent:
        return silent
    first = min(range(len(order)), key=lambda place: (steps[order[place]], place))
    if steps[order[first]] >= 2 * (len(order) - 1):
        raise ProtocolError("nobody waits in this ring; it is finished")
    return (order[first - 1],)


def agreed(digests: Mapping[str, Digest]) -> Digest:
    """The one digest of the result that all nodes name; ProtocolError with the nodes that differ from the most."""
    named = sorted(set(digests.values()), key=lambda digest: (-sum(each == digest for each in digests.values()), digest))
    if len(named) != 1:
        others = sorted(name for name, digest in digests.items() if digest != named[0]) if named else []
        raise ProtocolError(f"the ring's nodes do not hold one result; {', '.join(others) or 'nobody'} differ; run the round over the star")
    return named[0]
