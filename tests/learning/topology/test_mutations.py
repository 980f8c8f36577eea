"""Planted bugs: each of them is caught by a test or by a stateful suite, which all pass without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase as Step
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from hansa.core.types import Digest
from hansa.learning.topology import butterfly, gossip, grid, group, placement, ring, tree
from hansa.learning.topology.butterfly import GroupMember, Sent
from hansa.learning.topology.grid import Averaging
from hansa.learning.topology.group import Commitment, Piece
from hansa.learning.topology.membership import Roster
from hansa.learning.topology.partial import Partial
from hansa.learning.topology.placement import Placement
from hansa.learning.topology.ring import Passing, RingNode
from hansa.learning.topology.tree import Hub, Subtotal
from tests.learning.topology import test_butterfly, test_gossip, test_grid, test_placement, test_ring, test_tree
from tests.learning.topology.test_stateful import FAST, Groups, Rings, Town

Patch = pytest.MonkeyPatch
Mutation = Callable[[Patch], None]
MUTATIONS: dict[str, tuple[Mutation, Callable[[], object]]] = {}


def stateful(machine: Any) -> Callable[[], None]:
    """A stateful suite; without shrinking, because the failure is what counts here."""
    return lambda: run_state_machine_as_test(machine, settings=settings(FAST, phases=[Step.generate], report_multiple_bugs=False))


def planted(caught_by: Callable[[], object]) -> Callable[[Mutation], Mutation]:
    def plant(mutation: Mutation) -> Mutation:
        MUTATIONS[mutation.__name__] = (mutation, caught_by)
        return mutation

    return plant


def by_arrival(names: Iterable[str], *context: str | int) -> tuple[str, ...]:
    return tuple(names)


# Ring


@planted(stateful(Rings))
def a_slice_that_comes_twice_is_summed_twice(patch: Patch) -> None:
    real = RingNode.receive

    def receive(self: RingNode, message: Passing, now: float) -> list[Passing]:
        if message.ring == self.id and message.step in self._had and message.step < self.step:
            self._take(message)
        return real(self, message, now)

    patch.setattr(RingNode, "receive", receive)


@planted(stateful(Rings))
def a_dead_nodes_part_is_kept_when_the_ring_closes(patch: Patch) -> None:
    real = RingNode.close_around

    def close_around(self: RingNode, dead: Any, now: float) -> list[Passing]:
        kept = self._sum
        sent = real(self, dead, now)
        self._sum = kept
        return sent

    patch.setattr(RingNode, "close_around", close_around)


@planted(stateful(Rings))
def slices_of_the_old_ring_count_in_the_new_one(patch: Patch) -> None:
    patch.setattr(ring, "draw", lambda *context: b"the ring" * 4)


@planted(stateful(Rings))
def the_ring_stands_in_order_of_arrival(patch: Patch) -> None:
    patch.setattr(ring, "shuffled", by_arrival)


@planted(stateful(Rings))
def the_weight_of_the_dead_still_counts(patch: Patch) -> None:
    real = RingNode._begin

    def begin(self: RingNode) -> None:
        real(self)
        self.weight = sum(pledge.weight for pledge in self._pledges.values())

    patch.setattr(RingNode, "_begin", begin)


@planted(test_ring.test_a_cut_between_two_living_nodes_is_found_by_the_earliest_wait)
def who_waits_is_taken_for_the_gap(patch: Patch) -> None:
    real = ring.find_dead

    def find_dead(order: tuple[str, ...], id: Digest, heard: Any) -> tuple[str, ...]:
        found = real(order, id, heard)
        return (order[(order.index(found[0]) + 1) % len(order)],)

    patch.setattr("tests.learning.topology.world.find_dead", find_dead)


# Group


@planted(stateful(Groups))
def the_hashes_of_two_reducers_are_not_compared(patch: Patch) -> None:
    def equal(self: GroupMember, place: int) -> bool:
        found = [self._sums.get((place, name)) for name in self.group.reducers(place, self.committed, self.attempt)]
        if found[0] is None:
            return False
        self._settled[place] = found[0].values
        return True

    patch.setattr(GroupMember, "_equal", equal)


@planted(stateful(Groups))
def a_lone_sum_is_believed(patch: Patch) -> None:
    def equal(self: GroupMember, place: int) -> bool:
        found = [self._sums.get((place, name)) for name in self.group.reducers(place, self.committed, self.attempt)]
        there = [each for each in found if each is not None]
        if not there or len({each.digest for each in there}) > 1:
            return False
        self._settled[place] = there[0].values
        return True

    real = GroupMember._reduced

    def reduced(self: GroupMember, message: Any) -> None:
        # One of the two is silent, and the other one lies.
        if message.sender == self.group.reducers(message.slice, self.committed, self.attempt)[0]:
            real(self, message)

    patch.setattr(GroupMember, "_reduced", reduced)
    patch.setattr(GroupMember, "_equal", equal)


@planted(test_butterfly.test_a_piece_that_is_not_the_committed_one_counts_for_nothing_and_its_sender_is_named)
def pieces_are_not_held_against_commitments(patch: Patch) -> None:
    real = GroupMember._piece

    def piece(self: GroupMember, message: Piece) -> list[Sent]:
        said = self.commitments[message.sender]
        digests = list(said.digests)
        digests[message.slice] = self._digest(message.slice, message.values)
        self.commitments[message.sender] = Commitment(said.group, said.sender, said.weight, tuple(digests))
        return real(self, message)

    patch.setattr(GroupMember, "_piece", piece)


@planted(stateful(Groups))
def the_silent_stay_in_the_weight(patch: Patch) -> None:
    real = GroupMember._close_opening

    def close_opening(self: GroupMember) -> list[Sent]:
        before = self.weight
        sent = real(self)
        patch.setattr(GroupMember, "weight", property(lambda self: before)) if self.weight != before else None
        return sent

    patch.setattr(GroupMember, "_close_opening", close_opening)


@planted(stateful(Groups))
def reducers_are_drawn_in_order_of_arrival(patch: Patch) -> None:
    patch.setattr(group, "shuffled", by_arrival)
    patch.setattr(GroupMember, "committed", property(lambda self: tuple(self.commitments)))


@planted(stateful(Groups))
def the_wrong_reducer_is_named(patch: Patch) -> None:
    real = GroupMember._decide

    def decide(self: GroupMember, place: int) -> None:
        pair = self.group.reducers(place, self.committed, self.attempt)
        sums = {(place, name): self._sums.get((place, other)) for name, other in zip(pair, pair[::-1], strict=True)}
        self._sums.update({key: value for key, value in sums.items() if value is not None})
        real(self, place)

    patch.setattr(GroupMember, "_decide", decide)


@planted(test_butterfly.test_a_faster_clock_elsewhere_loses_nothing)
def early_messages_are_lost(patch: Patch) -> None:
    real = GroupMember._send_pieces

    def send(self: GroupMember) -> list[Sent]:
        self._early = {}
        return real(self)

    patch.setattr(GroupMember, "_send_pieces", send)


@planted(test_butterfly.test_a_malformed_message_that_came_early_stops_nobody)
def a_malformed_message_stops_its_reader(patch: Patch) -> None:
    patch.setattr(butterfly, "suppress", lambda *kinds: nullcontext())


@planted(test_butterfly.test_a_commitment_of_the_wrong_shape_is_refused)
def anybody_weighs_what_it_says(patch: Patch) -> None:
    real = GroupMember._commitment

    def commitment(self: GroupMember, message: Commitment) -> list[Sent]:
        object.__setattr__(self.group, "most", 1 << 30)
        return real(self, message)

    patch.setattr(GroupMember, "_commitment", commitment)


# Grid and membership


@planted(stateful(Town))
def coordinates_are_not_redrawn(patch: Patch) -> None:
    patch.setattr(Placement, "redrawn", lambda self, seed, round: self)


@planted(test_placement.test_partners_change_from_one_pass_to_the_next)
def coordinates_are_redrawn_alike_in_every_group(patch: Patch) -> None:
    patch.setattr(placement, "group_id", lambda seed, round, line: bytes(32))


@planted(stateful(Town))
def a_leaver_is_still_counted(patch: Patch) -> None:
    patch.setattr(Roster, "present", property(lambda self: self.members))


@planted(stateful(Town))
def a_leavers_sum_stays_in_the_averaging(patch: Patch) -> None:
    real = Averaging.leave

    def leave(self: Averaging, leavers: Any) -> Averaging:
        after = real(self, leavers)
        heir = next(iter(after.holdings), None)
        if heir is None:
            return after
        held = sum((self.holdings[name] for name in leavers), start=after.holdings[heir])
        return Averaging(after.placement, {**after.holdings, heir: held}, after.seed, after.round, after.most, after.factor)

    patch.setattr(Averaging, "leave", leave)


@planted(stateful(Town))
def joiners_enter_at_once(patch: Patch) -> None:
    real = Roster._join

    def join(self: Roster, peer: str) -> Roster:
        after = real(self, peer)
        return Roster(after.most, after.round, tuple(sorted({*after.members, peer})), after.gone - {peer}, after.joining, after.revision)

    patch.setattr(Roster, "_join", join)


@planted(stateful(Town))
def a_newcomer_counts_but_once(patch: Patch) -> None:
    real = Averaging.join

    def join(self: Averaging, newcomers: Mapping[str, Partial]) -> Averaging:
        after = real(self, newcomers)
        return Averaging(after.placement, {**after.holdings, **newcomers}, after.seed, after.round, after.most, after.factor)

    patch.setattr(Averaging, "join", join)


@planted(lambda: test_grid.test_with_holes_mass_is_kept_exactly_and_the_error_decays(12))
def every_member_takes_the_groups_whole_mass(patch: Patch) -> None:
    patch.setattr(grid.math, "lcm", lambda *sizes: max(sizes))
    patch.setattr(Partial, "times", lambda self, factor: self)


@planted(stateful(Town))
def who_stays_away_loses_mass(patch: Patch) -> None:
    real = grid.play

    def play(machines: Any) -> None:
        patch.undo()
        real(machines)
        patch.setattr(grid, "play", play)
        patch.setattr(GroupMember, "committed", property(lambda self: self.group.members))

    patch.setattr(grid, "play", play)


@planted(test_grid.test_a_lying_reducer_is_named_and_changes_nothing)
def nobody_appeals(patch: Patch) -> None:
    def equal(self: GroupMember, place: int) -> bool:
        found = [
            self._sums[place, name] for name in self.group.reducers(place, self.committed, self.attempt) if (place, name) in self._sums
        ]
        self._settled[place] = found[0].values
        return True

    patch.setattr(GroupMember, "_equal", equal)


# Tree and gossip


@planted(test_tree.test_what_a_dead_node_had_reported_stays_and_only_the_rest_comes_anew)
def what_is_counted_is_counted_again(patch: Patch) -> None:
    def receive(self: Hub, subtotal: Subtotal) -> None:
        self._parts[subtotal.sender] = subtotal

    patch.setattr(Hub, "receive", receive)


@planted(test_tree.test_below_dead_nodes_no_update_is_lost_or_counted_twice)
def those_below_the_dead_are_lost(patch: Patch) -> None:
    def give_up(self: Hub, dead: str) -> tuple[str, ...]:
        gone = self._tree.below(dead)
        self._tree = tree.Hierarchy(self._tree.root, {child: above for child, above in self._tree.parents.items() if child not in gone})
        return ()

    patch.setattr(Hub, "give_up", give_up)


@planted(test_gossip.test_rounding_has_no_drift)
def halves_are_rounded_down(patch: Patch) -> None:
    patch.setattr(gossip, "halve", lambda a, b: np.asarray((a + b) >> 1, np.int64))


@planted(lambda: test_gossip.test_every_node_meets_once_a_step_and_others_in_the_next(5))
def partners_are_drawn_by_arrival(patch: Patch) -> None:
    patch.setattr(gossip, "shuffled", by_arrival)


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation, caught_by = MUTATIONS[name]
    mutation(monkeypatch)
    with pytest.raises(BaseException) as caught:
        caught_by()
    # A typing slip in the mutation itself would not show anything.
    assert not isinstance(caught.value, TypeError | NameError | AttributeError), caught.value
