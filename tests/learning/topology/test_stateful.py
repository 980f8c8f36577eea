"""Rings, groups and grids under messages in any order, deaths, lies, joins and leaves: the sums stay exact and the guilty are named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from hansa.core.errors import ProtocolError
from hansa.core.types import FaultKind
from hansa.learning.topology.declaration import Grid
from hansa.learning.topology.draw import draw
from hansa.learning.topology.grid import Averaging
from hansa.learning.topology.group import Phase
from hansa.learning.topology.membership import Border, Join, Leave, Roster
from hansa.learning.topology.placement import Placement
from tests.learning.topology.world import MOST, GroupWorld, RingWorld, exact, partials, told

FAST = settings(
    max_examples=60, stateful_step_count=30, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
SLOW = settings(FAST, max_examples=1000, stateful_step_count=50)


class Rings(RuleBasedStateMachine):
    """Slices overtake each other, come twice, come from a ring that is no more; nodes die between any two of them."""

    world: RingWorld

    @initialize(count=st.integers(2, 6), size=st.integers(1, 12), seed=st.integers(0, 99))
    def begin(self, count: int, size: int, seed: int) -> None:
        self.world = RingWorld(partials(count, size, seed), seed)

    @precondition(lambda self: self.world.heap)
    @rule(places=st.lists(st.integers(0, 99), min_size=1, max_size=8))
    def slices_arrive(self, places: list[int]) -> None:
        for place in places:
            if self.world.heap:
                self.world.deliver(place)

    @precondition(lambda self: self.world.old)
    @rule(place=st.integers(0, 99))
    def a_slice_comes_again(self, place: int) -> None:
        self.world.hand(self.world.old[place % len(self.world.old)])

    @precondition(lambda self: len(self.world.alive) > 1)
    @rule(who=st.integers(0, 9))
    def a_node_dies(self, who: int) -> None:
        self.world.kill(sorted(self.world.alive)[who % len(self.world.alive)])

    @precondition(lambda self: not self.world.done and set(self.world.dead) & set(next(iter(self.world.alive.values())).order))
    @rule()
    def the_deadline_passes(self) -> None:
        # All that was sent by the living has arrived by then; what the dead left on the way comes late.
        kept = [message for message in self.world.heap if message.sender in self.world.dead]
        self.world.heap = [message for message in self.world.heap if message.sender not in self.world.dead]
        self.world.deliver_all()
        self.world.heap = kept
        if not self.world.done:
            dead = self.world.pass_the_deadline()
            assert set(dead) <= self.world.dead

    @invariant()
    def whoever_is_done_holds_the_sum_of_its_ring(self) -> None:
        for node in self.world.alive.values() if hasattr(self, "world") else ():
            if node.result is not None:
                assert told(node.result) == exact(self.world.inputs[name] for name in node.order)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            before = set(self.world.alive)
            self.world.finish()
            assert set(self.world.alive) == before, "a living node was given up"
            digests = {node.result.digest() for node in self.world.alive.values() if node.result}
            assert len(digests) == 1 and all(not node.faults for node in self.world.alive.values())
            self.whoever_is_done_holds_the_sum_of_its_ring()


class Groups(RuleBasedStateMachine):
    """One group with lying reducers that are nobody's pair and members that fall silent; messages in any order within a phase."""

    world: GroupWorld

    @initialize(
        count=st.integers(2, 6),
        size=st.integers(1, 14),
        seed=st.integers(0, 99),
        liar=st.integers(0, 9),
        lies=st.booleans(),
        silent=st.sets(st.integers(0, 5), max_size=2),
        phase=st.sampled_from([Phase.COMMITMENTS, Phase.PIECES, Phase.SUMS, Phase.APPEALS]),
    )
    def begin(self, count: int, size: int, seed: int, liar: int, lies: bool, silent: set[int], phase: Phase) -> None:
        names = list(inputs := partials(count, size, seed))
        quiet = {names[who % count]: phase for who in silent}
        if len(quiet) == count:
            quiet = {}
        self.world = GroupWorld(inputs, [names[liar % count]] if lies else [], quiet)

    @precondition(lambda self: self.world.heap)
    @rule(places=st.lists(st.integers(0, 999), min_size=1, max_size=20))
    def messages_arrive(self, places: list[int]) -> None:
        for place in places:
            if self.world.heap:
                self.world.deliver(place)

    @rule(order=st.integers(0, 50))
    def a_deadline_passes(self, order: int) -> None:
        self.world.deliver_all(order)
        self.world.deadline()

    @precondition(lambda self: self.world.phase in (Phase.PIECES, Phase.SUMS))
    @rule(who=st.integers(0, 9), place=st.integers(0, 9))
    def somebody_appeals(self, who: int, place: int) -> None:
        active = self.world.active()
        if active and self.world.machines[name := active[who % len(active)]].committed:
            if self.world.machines[name].phase in (Phase.PIECES, Phase.SUMS):
                self.world.heap += self.world.machines[name]._appeal(place % len(self.world.inputs))

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.finish()
        honest = [name for name in world.survivors() if name not in world.liars]
        assert {name for name in world.active() if name not in world.liars} == set(honest), "an honest member was left out"
        assert len({world.machines[name].committed for name in honest}) <= 1
        for name in honest:
            machine = world.machines[name]
            assert told(machine.result()) == exact(world.inputs[each] for each in machine.committed)
            accused = {(fault.account, fault.kind) for fault in machine.faults}
            assert {account for account, _ in accused} <= world.liars | world.quiet.keys()
            # A lie changes the first value of a slice, so only slices with a value can tell.
            spans = [place for place, span in enumerate(world.group.spans()) if span.stop > span.start]
            for liar in world.liars & set(machine.committed):
                reduced = [place for place in spans if liar in world.group.reducers(place, machine.committed, machine.attempt)]
                if reduced and liar not in world.quiet:
                    assert (liar, FaultKind.WRONG_AGGREGATE) in accused


class Town(RuleBasedStateMachine):
    """Members of a 3x3 grid come and go; the averaging's mass is compared with plain integers after every event."""

    @initialize(seed=st.integers(0, 99))
    def begin(self, seed: int) -> None:
        self.seed, self.grid = seed, Grid(3, 2)
        self.roster = Roster(self.grid.most)
        self.people, self.waiting, self.left = set[str](), set[str](), set[str]()
        self.averaging: Averaging | None = None
        self.values, self.weight, self.factor = [0, 0, 0], 0, 1

    @rule(who=st.sets(st.integers(0, 11), min_size=1, max_size=5), backwards=st.booleans())
    def join(self, who: set[int], backwards: bool) -> None:
        for number in sorted(who, reverse=backwards):
            name = f"p{number:02d}"
            known = name in self.people - self.left or name in self.waiting
            if known or len((self.people - self.left) | self.waiting) == 9:
                with pytest.raises(ProtocolError):
                    self.roster.apply(Join(name))
            else:
                self.roster = self.roster.apply(Join(name))
                self.waiting.add(name)

    @precondition(lambda self: len(self.people - self.left) > 1)
    @rule(who=st.integers(0, 11))
    def leave(self, who: int) -> None:
        staying = sorted(self.people - self.left)
        name = staying[who % len(staying)]
        self.roster = self.roster.apply(Leave(name))
        self.left.add(name)
        if self.averaging is not None:
            held = self.averaging.holdings[name]
            self.values = [mine - int(gone) for mine, gone in zip(self.values, held.values, strict=True)]
            self.weight -= held.weight
            self.averaging = self.averaging.leave([name])

    @rule()
    def border(self) -> None:
        before = self.people - self.left
        self.roster = self.roster.apply(Border(self.roster.round + 1))
        self.people, self.waiting, self.left = before | self.waiting, set(), set()
        entering = {name: partials(1, 3, int(name[1:]))["n00"] for name in self.people - before}
        if self.averaging is not None and self.factor > 10**4:
            self.divide()
        if self.averaging is None and self.people:
            self.averaging = Averaging(Placement(self.grid), {}, self.seed, self.roster.round, MOST)
        if self.averaging is not None:
            self.averaging = self.averaging.join(entering)
        for each in entering.values():
            self.values = [mine + self.factor * int(value) for mine, value in zip(self.values, each.values, strict=True)]
            self.weight += self.factor * each.weight

    def divide(self) -> None:
        """Sums that have grown start anew from their means."""
        assert self.averaging is not None
        holdings = {name: type(held)(held.mean(), 1, held.bound) for name, held in self.averaging.holdings.items()}
        self.averaging = Averaging(self.averaging.placement, holdings, self.seed, self.averaging.round, MOST)
        (self.values, self.weight), self.factor = exact(holdings.values()), 1

    @precondition(lambda self: self.averaging is not None and self.factor < 10**6)
    @rule(away=st.sets(st.integers(0, 11), max_size=2))
    def average(self, away: set[int]) -> None:
        assert self.averaging is not None
        before = self.averaging.placement
        absent = {f"p{number:02d}" for number in away} & before.cells.keys()
        self.averaging, faults = self.averaging.step(absent)
        assert {fault.account for fault in faults} <= absent
        common = self.averaging.factor // self.factor
        self.values, self.weight, self.factor = [value * common for value in self.values], self.weight * common, self.averaging.factor
        axis = (self.averaging.round - 1) % 2
        for name, cell in before.cells.items():
            group = draw("group", self.seed, self.averaging.round - 1, cell[1 - axis])
            order = sorted(range(3), key=lambda place: draw(group.hex(), place))
            expected = (order[cell[0]], cell[1]) if axis == 0 else (cell[0], order[cell[1]])
            assert self.averaging.placement.cells[name] == expected

    @invariant()
    def everybody_is_where_the_events_put_them(self) -> None:
        if not hasattr(self, "roster"):
            return
        assert self.roster.members == tuple(sorted(self.people)) and self.roster.present == tuple(sorted(self.people - self.left))
        if self.averaging is None:
            return
        cells = self.averaging.placement.cells
        assert set(cells) == self.people - self.left and len(set(cells.values())) == len(cells)
        if cells:
            assert exact(self.averaging.holdings.values()) == (self.values, self.weight)


MACHINES: list[Any] = [Rings, Groups, Town]


@pytest.mark.parametrize("machine", MACHINES)
def test_any_order_of_events(machine: Any) -> None:
    run_state_machine_as_test(machine, settings=FAST)


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_any_order_of_events_for_long(machine: Any) -> None:
    run_state_machine_as_test(machine, settings=SLOW)
