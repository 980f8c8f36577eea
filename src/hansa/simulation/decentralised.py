"""Training over any topology in one process: real local training, real state machines, nodes that join and leave by a schedule.

Star, tree and ring step one model with the sum of updates; under gossip and grid every node has its own, and a newcomer starts with that of
a drawn member. All nodes count the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hansa.core.errors import ConfigError, ProtocolError
from hansa.learning.strategies import AnyStrategy
from hansa.learning.strategy import Vectors, derive_seed, mean_of
from hansa.learning.topology.declaration import Gossip, Grid, Ring, Star, Topology, Tree
from hansa.learning.topology.draw import shuffled
from hansa.learning.topology.fixed import LARGEST, to_integers, to_state
from hansa.learning.topology.gossip import Gossiper, closed, consensus, pairs
from hansa.learning.topology.grid import Averaging
from hansa.learning.topology.membership import Border, Join, Leave, Roster
from hansa.learning.topology.partial import Partial, Values
from hansa.learning.topology.placement import Placement
from hansa.learning.topology.ring import Passing, Pledge, RingNode, agreed, find_dead
from hansa.learning.topology.tree import Hierarchy, gather
from hansa.model.aggregate import Aggregate
from hansa.model.architectures import Architecture, Objective
from hansa.model.layout import Layout
from hansa.model.state import ModelState, Vector
from hansa.model.update import Update, largest, quantise

if TYPE_CHECKING:
    from hansa.learning.local import Placed

ROOT = "coordinator"
PATIENCE = 1.0
"""Seconds of the simulated clock after which a ring's node gives its predecessor up."""


@dataclass(frozen=True, slots=True)
class Course:
    """What is trained and how; `bound` is the largest change of a weight that an update of `bits` bits carries."""

    architecture: Architecture
    objective: Objective
    strategy: AnyStrategy
    seed: int
    bound: float = 1.0
    bits: int = 16

    def scales(self, layout: Layout) -> tuple[float, ...]:
        return tuple(bound / largest(self.bits) for bound in self.strategy.bounds(layout, self.bound))


@dataclass(frozen=True, slots=True)
class Schedule:
    """Nodes by round: `joins` enter at its border, `leaves` are gone in the middle of it and deliver nothing."""

    joins: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    leaves: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """After a round: the roster, and the model that each present node holds."""

    roster: Roster
    models: Mapping[str, ModelState]

    def mean(self) -> ModelState:
        """The mean over the nodes' models; where all hold one, that one."""
        models = list(self.models.values())
        if all(model == models[0] for model in models):
            return models[0]
        return to_state(models[0].layout, consensus(to_integers(model) for model in models))


class _Sites:
    """Local training of each node on its rows, and what it keeps between rounds."""

    def __init__(self, course: Course, rows: Mapping[str, Placed]) -> None:
        self.course, self._rows = course, rows
        self._kept: dict[str, Vectors] = {}

    def train(self, name: str, round: int, base: ModelState, told: Vectors) -> Vector:
        """What the node sends after training from `base`."""
        from hansa.learning.site import contribute

        course, kept = self.course, self._kept.get(name, self.course.strategy.fresh(base.layout))
        seed = derive_seed(course.seed, round, name)
        done = contribute(course.strategy, course.architecture, course.objective, base, told, kept, self._rows[name], seed)
        self._kept[name] = done.kept
        return done.sent


class _Nodes(Protocol):
    def play(self, round: int, members: tuple[str, ...], leavers: frozenset[str]) -> Mapping[str, ModelState]:
        """One round of `members`, of whom `leavers` are gone in its middle; the models of the others."""
        ...

    def close(self, round: int) -> Mapping[str, ModelState]:
        """The models after what is left to do when the last round, this one, is over."""
        ...


class _OneModel:
    """Star, tree and ring: all train from one model, and its next one is stepped with the sum of their updates."""

    def __init__(self, topology: Star | Tree | Ring, sites: _Sites, genesis: ModelState) -> None:
        self._topology, self._sites, self._model = topology, sites, genesis
        self._state = sites.course.strategy.init(genesis)
        self._holders: tuple[str, ...] = ()

    def play(self, round: int, members: tuple[str, ...], leavers: frozenset[str]) -> Mapping[str, ModelState]:
        course, base = self._sites.course, self._model
        strategy, travels, scales = course.strategy, course.strategy.travels(base.layout), course.scales(base.layout)
        told, updates = strategy.told(base.layout, self._state), dict[str, Update]()
        for name in members:
            if name not in leavers:
                sent = self._sites.train(name, round, base, told)
                updates[name] = Update(travels, scales, quantise(travels, sent, scales, course.bits)[0], 1)
        aggregate = self._sum(round, members, updates, leavers)
        self._model, self._state = strategy.step(base, mean_of(aggregate), self._state)
        self._holders = tuple(updates)
        return self.close(round)

    def close(self, round: int) -> Mapping[str, ModelState]:
        return dict.fromkeys(self._holders, self._model)

    def _sum(self, round: int, members: tuple[str, ...], updates: Mapping[str, Update], leavers: frozenset[str]) -> Aggregate:
        match self._topology:
            case Star():
                return Aggregate.of(updates.values())
            case Tree(fanout):
                return gather(Hierarchy.by_fanout(ROOT, members, fanout), updates, round, dead=leavers).aggregate
            case Ring():
                return _circulate(updates, members, self._sites.course.seed, round)


class _GossipModels:
    def __init__(self, topology: Gossip, sites: _Sites, genesis: ModelState) -> None:
        self._topology, self._sites, self._genesis = topology, sites, genesis
        self._nodes: dict[str, Gossiper] = {}

    def play(self, round: int, members: tuple[str, ...], leavers: frozenset[str]) -> Mapping[str, ModelState]:
        layout, seed = self._genesis.layout, self._sites.course.seed
        for name, model in _newcomers(
            members, {name: each.model for name, each in self._nodes.items()}, self._genesis, seed, round
        ).items():
            self._nodes[name] = Gossiper.starting(model)
        before = {name: self._nodes[name] for name in members if name not in leavers}
        changes = {name: _trained(self._sites, name, round, layout, node.model) - node.model for name, node in before.items()}
        self._nodes = {}
        for pair in pairs(members, seed, round):
            for name, other in (pair, pair[::-1]):
                if name in before:
                    partner = other if other in before else name
                    node = before[name]
                    self._nodes[name] = node.meet(self._topology, changes[name], before[partner].model, changes[partner])
        return self._states({name: node.model for name, node in self._nodes.items()})

    def close(self, round: int) -> Mapping[str, ModelState]:
        models = {name: node.model for name, node in self._nodes.items()}
        return self._states(closed(models, self._sites.course.seed, round, self._topology.closing))

    def _states(self, models: Mapping[str, Values]) -> Mapping[str, ModelState]:
        return {name: to_state(self._genesis.layout, models[name]) for name in sorted(models)}


class _GridModels:
    """Each outer step is one averaging of one round an axis; where nodes stand carries over to the next."""

    def __init__(self, topology: Grid, sites: _Sites, genesis: ModelState) -> None:
        self._sites, self._genesis, self._dimensions = sites, genesis, topology.dimensions
        self._placement = Placement(topology)
        self._models: dict[str, Values] = {}

    def play(self, round: int, members: tuple[str, ...], leavers: frozenset[str]) -> Mapping[str, ModelState]:
        layout, seed = self._genesis.layout, self._sites.course.seed
        newcomers = _newcomers(members, self._models, self._genesis, seed, round)
        models = {**self._models, **newcomers}
        first = (round - 1) * self._dimensions
        self._placement = self._placement.admit(newcomers, seed, first).without(leavers)
        trained = {name: _trained(self._sites, name, round, layout, models[name]) for name in members if name not in leavers}
        averaging = Averaging(self._placement, {name: Partial(model, 1, LARGEST) for name, model in trained.items()}, seed, first)
        for _ in range(self._dimensions):
            averaging, _ = (averaging if averaging.fits else averaging.divided()).step()
        self._placement = averaging.placement
        self._models = {name: held.mean() for name, held in sorted(averaging.holdings.items())}
        return self.close(round)

    def close(self, round: int) -> Mapping[str, ModelState]:
        return {name: to_state(self._genesis.layout, model) for name, model in self._models.items()}


def train_over(
    topology: Topology, course: Course, rows: Mapping[str, Placed], genesis: ModelState, rounds: int, schedule: Schedule | None = None
) -> Iterator[Standing]:
    """Train for `rounds` rounds and say after each what everybody holds. Without a schedule every node in `rows` takes part throughout.

    ConfigError when a strategy that needs a server is to run without one, ProtocolError when a round is left without any node.
    """
    if schedule is None:
        schedule = Schedule({1: tuple(rows)})
    sites = _Sites(course, rows)
    nodes: _Nodes
    match topology:
        case Star() | Tree() | Ring():
            nodes = _OneModel(topology, sites, genesis)
        case Gossip():
            nodes = _GossipModels(topology, sites, genesis)
        case Grid():
            nodes = _GridModels(topology, sites, genesis)
    if not topology.one_model and (course.strategy.init(genesis) or course.strategy.travels(genesis.layout) != genesis.layout):
        raise ConfigError("this strategy keeps a state at a server, which gossip and grid do not have; name fedavg or fedprox, or the star")
    roster = Roster(topology.most)
    for round in range(1, rounds + 1):
        for name in schedule.joins.get(round, ()):
            roster = roster.apply(Join(name))
        roster = roster.apply(Border(round))
        for name in schedule.leaves.get(round, ()):
            roster = roster.apply(Leave(name))
        if not roster.present:
            raise ProtocolError(f"nobody is left in round {round}; a job without nodes waits until somebody joins")
        models = nodes.play(round, roster.members, roster.gone)
        yield Standing(roster, nodes.close(round) if round == rounds else models)


def _trained(sites: _Sites, name: str, round: int, layout: Layout, model: Values) -> Values:
    """A node's own model after local training, in fixed point."""
    base = to_state(layout, model)
    return to_integers(ModelState(layout, base.vector + sites.train(name, round, base, ())))


def _newcomers(members: tuple[str, ...], models: Mapping[str, Values], genesis: ModelState, seed: int, round: int) -> dict[str, Values]:
    """What members without a model start with: that of a member drawn for each, or the first model when nobody has any."""
    holders = shuffled((name for name in members if name in models), "sponsors", seed, round)
    entering = [name for name in members if name not in models]
    if not holders:
        return dict.fromkeys(entering, to_integers(genesis))
    return {name: models[holders[place % len(holders)]] for place, name in enumerate(entering)}


def _circulate(updates: Mapping[str, Update], members: tuple[str, ...], seed: int, round: int) -> Aggregate:
    """The sum of updates around a ring of all members, those without an update being dead: detected, and closed around."""
    some = next(iter(updates.values()))
    bound, empty = largest(some.bits), some.weighted() * 0
    inputs = {name: Partial(updates[name].weighted() if name in updates else empty, 1, bound) for name in members}
    pledges = {name: Pledge(name, own.weight, own.digest()) for name, own in inputs.items()}
    nodes = {name: RingNode(name, inputs[name], pledges, most=1, seed=seed, round=round, patience=PATIENCE) for name in sorted(updates)}
    now = 0.0
    waiting: list[Passing] = [sent for node in nodes.values() for sent in node.start(now)]
    while any(node.result is None for node in nodes.values()):
        while waiting:
            waiting = [sent for each in waiting if each.receiver in nodes for sent in nodes[each.receiver].receive(each, now)]
        if all(node.result is not None for node in nodes.values()):
            break
        now += 2 * PATIENCE
        first = next(iter(nodes.values()))
        heard = [said for node in nodes.values() if (said := node.stalled(now)) is not None]
        dead = find_dead(first.order, first.id, heard)
        waiting = [sent for node in nodes.values() for sent in node.close_around(dead, now)]
    results = {name: node.result for name, node in nodes.items()}
    agreed({name: result.digest() for name, result in results.items() if result is not None})
    total = next(result for result in results.values() if result is not None)
    return Aggregate(some.layout, some.scales, some.bits, total.values, total.weight, len(nodes))
