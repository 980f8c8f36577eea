"""A ring and a group in memory whose messages a test delivers in any order, with nodes that die and reducers that lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from hansa.learning.topology.butterfly import GroupMember, Sent
from hansa.learning.topology.group import Group, Message, Phase, Reduced
from hansa.learning.topology.partial import Partial
from hansa.learning.topology.ring import Passing, Pledge, RingNode, find_dead

BOUND = 1000
MOST = 5


def partials(count: int, size: int, seed: int = 0) -> dict[str, Partial]:
    """Inputs of nodes n00, n01, ... with weights 1 to MOST, every value within weight * BOUND."""
    random = np.random.Generator(np.random.PCG64([count, size, seed]))
    found = {}
    for place in range(count):
        weight = int(random.integers(1, MOST + 1))
        found[f"n{place:02d}"] = Partial(random.integers(-BOUND, BOUND + 1, size) * weight, weight, BOUND)
    return found


def exact(inputs: Iterable[Partial]) -> tuple[list[int], int]:
    """The sum in plain integers, and its weight."""
    inputs = list(inputs)
    return [sum(map(int, column)) for column in zip(*(each.values for each in inputs), strict=True)], sum(each.weight for each in inputs)


def told(partial: Partial | None) -> tuple[list[int], int] | None:
    return None if partial is None else ([int(value) for value in partial.values], partial.weight)


class RingWorld:
    """A ring whose messages lie in a heap; every node learned of the pledges in an order of its own."""

    def __init__(self, inputs: Mapping[str, Partial], seed: int = 3, round: int = 1) -> None:
        self.inputs, self.now, self.dead = dict(inputs), 0.0, set[str]()
        pledges = [Pledge(name, own.weight, own.digest()) for name, own in inputs.items()]
        self.nodes: dict[str, RingNode] = {}
        for place, (name, own) in enumerate(inputs.items()):
            turned = {pledge.sender: pledge for pledge in [*pledges[place:], *pledges[:place]]}
            self.nodes[name] = RingNode(name, own, turned, most=MOST, seed=seed, round=round, patience=1.0)
        self.heap: list[Passing] = [sent for node in self.nodes.values() for sent in node.start(self.now)]
        self.old: list[Passing] = []

    @property
    def alive(self) -> dict[str, RingNode]:
        return {name: node for name, node in self.nodes.items() if name not in self.dead}

    @property
    def done(self) -> bool:
        return all(node.result is not None for node in self.alive.values())

    def deliver(self, place: int) -> None:
        message = self.heap.pop(place % len(self.heap))
        self.old.append(message)
        self.hand(message)

    def hand(self, message: Passing) -> None:
        if message.receiver in self.alive:
            self.heap += self.nodes[message.receiver].receive(message, self.now)

    def deliver_all(self) -> None:
        while self.heap:
            self.deliver(0)

    def kill(self, name: str) -> None:
        """The node dies; what it sent before is still on its way."""
        self.dead.add(name)

    def pass_the_deadline(self) -> tuple[str, ...]:
        """Everything on its way has arrived or is late; the living compare what they wait for and close the ring around the dead."""
        late, self.heap = self.heap, []
        self.now += 10
        one = next(iter(self.alive.values()))
        heard = [said for node in self.alive.values() if (said := node.stalled(self.now)) is not None]
        dead = find_dead(one.order, one.id, heard)
        started = [sent for node in self.alive.values() if node.me not in dead for sent in node.close_around(dead, self.now)]
        self.dead |= set(dead)
        self.heap = late + started
        return dead

    def finish(self) -> None:
        self.deliver_all()
        while not self.done:
            self.pass_the_deadline()
            self.deliver_all()


class Liar(GroupMember):
    """A reducer that adds one to the first value of every sum that it reports."""

    def _to_all(self, message: Message) -> list[Sent]:
        if isinstance(message, Reduced):
            wrong = message.values.copy()
            wrong[:1] += 1
            message = Reduced(message.group, message.attempt, self.me, message.slice, wrong, self._digest(message.slice, wrong))
        return super()._to_all(message)


class GroupWorld:
    """One group; `quiet` members stop sending, and taking, from the phase that is named."""

    def __init__(self, inputs: Mapping[str, Partial], liars: Iterable[str] = (), quiet: Mapping[str, Phase] | None = None) -> None:
        self.inputs, self.liars, self.quiet = dict(inputs), frozenset(liars), dict(quiet or {})
        first = next(iter(inputs.values()))
        self.group = Group(b"g" * 32, tuple(sorted(inputs)), first.values.size, first.bound, MOST)
        self.machines = {name: (Liar if name in self.liars else GroupMember)(name, self.group, own) for name, own in inputs.items()}
        self.phase = Phase.COMMITMENTS
        self.heap: list[Sent] = []
        for name in self.active():
            self.heap += self.machines[name].start()

    def active(self) -> list[str]:
        return [name for name in self.machines if name not in self.quiet or self.phase < self.quiet[name]]

    def deliver(self, place: int) -> None:
        recipient, message = self.heap.pop(place % len(self.heap))
        if recipient in self.active():
            self.heap += self.machines[recipient].receive(message)

    def deliver_all(self, order: int = 0) -> None:
        while self.heap:
            self.deliver(order)

    def deadline(self) -> None:
        """All that was sent has arrived; the next phase begins for everybody still there."""
        self.deliver_all()
        self.phase = Phase(min(self.phase + 1, Phase.DONE))
        for name in self.active():
            self.heap += self.machines[name].deadline()

    def finish(self, order: int = 0) -> None:
        while any(self.machines[name].phase is not Phase.DONE for name in self.active()):
            self.deliver_all(order)
            self.deadline()
        self.deliver_all(order)

    def survivors(self) -> list[str]:
        return [name for name in self.active() if self.machines[name].result() is not None]
