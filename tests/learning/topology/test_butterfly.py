from collections.abc import Callable

import numpy as np
import pytest

from hansa.core.errors import FormatError, ProtocolError
from hansa.core.types import Digest, FaultKind
from hansa.learning.topology.butterfly import GroupMember
from hansa.learning.topology.group import Appeal, Commitment, Group, Message, Phase, Piece, Reduced
from hansa.learning.topology.partial import Partial
from tests.learning.topology.world import BOUND, GroupWorld, Liar, exact, partials, told


def kinds(world: GroupWorld, name: str) -> set[tuple[str, FaultKind]]:
    return {(fault.account, fault.kind) for fault in world.machines[name].faults}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("size", [1, 5, 32])
def test_every_member_ends_with_the_exact_sum(count: int, size: int) -> None:
    world = GroupWorld(partials(count, size))
    world.finish()
    assert [told(machine.result()) for machine in world.machines.values()] == [exact(world.inputs.values())] * count
    assert all(machine.faults == () for machine in world.machines.values())


def test_messages_in_any_order_give_the_same_bits() -> None:
    digests = set()
    for order in range(5):
        world = GroupWorld(partials(4, 16))
        world.finish(order * 7)
        digests |= {result.digest() for machine in world.machines.values() if (result := machine.result())}
    assert len(digests) == 1


def test_each_slice_has_two_reducers_and_each_member_two_slices() -> None:
    names = tuple(partials(6, 1))
    group = Group(b"x" * 32, names, 60, BOUND, 5)
    assigned = [group.reducers(place, names, 0) for place in range(6)]
    assert all(len(set(pair)) == 2 for pair in assigned)
    assert sorted(name for pair in assigned for name in pair) == sorted(2 * names)
    assert [group.reducers(place, names, 1) for place in range(6)] != assigned
    assert Group(b"x" * 32, names[:1], 60, BOUND, 5).reducers(0, names[:1], 0) == names[:1]


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("who", range(5))
def test_a_lying_reducer_is_named_and_the_honest_sum_kept(count: int, who: int) -> None:
    liar = f"n{who % count:02d}"
    world = GroupWorld(partials(count, 20), liars=[liar])
    world.finish()
    for name, machine in world.machines.items():
        assert told(machine.result()) == exact(world.inputs.values())
        if name != liar:
            assert kinds(world, name) == {(liar, FaultKind.WRONG_AGGREGATE)}


def test_all_reducers_lying_apart_from_one_are_named() -> None:
    world = GroupWorld(partials(5, 20), liars=["n00", "n02", "n04"])
    for name in ("n02", "n04"):
        # Not the same lie: two that lie alike are believed, which only an appeal can change.
        world.machines[name]._to_all = lambda message, it=world.machines[name]: lie(it, message)  # type: ignore[method-assign, misc]
    world.finish()
    assert told(world.machines["n01"].result()) == exact(world.inputs.values())
    assert {account for account, _ in kinds(world, "n01")} == {"n00", "n02", "n04"}


def lie(machine: GroupMember, message: Message) -> list[tuple[str, Message]]:
    if isinstance(message, Reduced):
        wrong = message.values + int(machine.me[1:]) + 2
        message = Reduced(message.group, message.attempt, machine.me, message.slice, wrong, machine._digest(message.slice, wrong))
    return GroupMember._to_all(machine, message)


def test_a_reducer_that_tells_members_different_sums_is_named() -> None:
    world = GroupWorld(partials(4, 20))
    liar = world.machines["n02"]

    def two_faced(message: Message) -> list[tuple[str, Message]]:
        sent = GroupMember._to_all(liar, message)
        if not isinstance(message, Reduced):
            return sent
        wrong = message.values + 1
        other = Reduced(message.group, message.attempt, liar.me, message.slice, wrong, liar._digest(message.slice, wrong))
        return [(name, other if name == "n00" and each is message else each) for name, each in sent]

    liar._to_all = two_faced  # type: ignore[method-assign]
    world.finish()
    assert {told(machine.result()) == exact(world.inputs.values()) for machine in world.machines.values()} == {True}
    assert ("n02", FaultKind.WRONG_AGGREGATE) in kinds(world, "n00")
    assert all(account == "n02" for name in ("n00", "n01", "n03") for account, _ in kinds(world, name))


@pytest.mark.parametrize("phase", [Phase.COMMITMENTS, Phase.PIECES, Phase.SUMS, Phase.APPEALS])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_member_that_falls_silent_is_left_out_or_counted_whole(phase: Phase, count: int) -> None:
    world = GroupWorld(partials(count, 24), quiet={"n01": phase})
    world.finish()
    survivors = world.survivors()
    assert survivors == [name for name in world.inputs if name != "n01"]
    committed = {world.machines[name].committed for name in survivors}
    assert len(committed) == 1
    (counted,) = committed
    assert {told(world.machines[name].result()) == exact(world.inputs[each] for each in counted) for name in survivors} == {True}
    if phase in (Phase.COMMITMENTS, Phase.PIECES):
        kind = FaultKind.LATE if phase is Phase.COMMITMENTS else FaultKind.UNAVAILABLE
        assert counted == tuple(survivors) and all(("n01", kind) in kinds(world, name) for name in survivors)
    else:
        # Its pieces had arrived, and sums were named or nobody appealed.
        assert "n01" in counted or all(("n01", FaultKind.UNAVAILABLE) in kinds(world, name) for name in survivors)


def test_a_silent_and_a_lying_member_together() -> None:
    world = GroupWorld(partials(5, 24), liars=["n03"], quiet={"n01": Phase.PIECES})
    world.finish()
    for name in ("n00", "n02", "n04"):
        assert told(world.machines[name].result()) == exact(world.inputs[each] for each in ("n00", "n02", "n03", "n04"))
        assert {("n01", FaultKind.UNAVAILABLE), ("n03", FaultKind.WRONG_AGGREGATE)} <= kinds(world, name)


def test_a_piece_that_is_not_the_committed_one_counts_for_nothing_and_its_sender_is_named() -> None:
    world = GroupWorld(partials(3, 9))
    cheat = world.machines["n01"]
    cheat._slice = lambda place: cheat._own.values[cheat._spans[place]] + (cheat.phase is not Phase.COMMITMENTS)  # type: ignore[method-assign]
    world.finish()
    for name in ("n00", "n02"):
        assert told(world.machines[name].result()) == exact(world.inputs[each] for each in ("n00", "n02"))
        assert {("n01", FaultKind.EQUIVOCATION), ("n01", FaultKind.UNAVAILABLE)} <= kinds(world, name)
    assert cheat.result() is None


def test_needless_appeals_change_nothing() -> None:
    world = GroupWorld(partials(3, 9))
    world.deadline()
    for place in range(3):
        world.heap += world.machines["n02"]._appeal(place)
    world.finish()
    assert {told(machine.result()) == exact(world.inputs.values()) for machine in world.machines.values()} == {True}
    assert {machine.faults for machine in world.machines.values()} == {()}


def test_a_faster_clock_elsewhere_loses_nothing() -> None:
    world = GroupWorld(partials(3, 9))
    world.deliver_all()
    world.heap += world.machines["n00"].deadline()
    world.deliver_all()  # pieces reach members that still wait for commitments
    for name in ("n01", "n02"):
        world.heap += world.machines[name].deadline()
    world.deliver_all()
    world.phase = Phase.PIECES
    world.finish()
    assert {told(machine.result()) == exact(world.inputs.values()) for machine in world.machines.values()} == {True}
    assert {machine.faults for machine in world.machines.values()} == {()}


def test_two_commitments_are_a_fault_and_the_first_one_stands() -> None:
    world = GroupWorld(partials(3, 9))
    first = next(message for to, message in world.heap if to == "n00" and message.sender == "n01" and isinstance(message, Commitment))
    world.machines["n00"].receive(first)
    world.machines["n00"].receive(Commitment(first.group, "n01", first.weight % 5 + 1, first.digests))
    assert kinds(world, "n00") == {("n01", FaultKind.EQUIVOCATION)} and world.machines["n00"].commitments["n01"] == first


def in_pieces() -> GroupWorld:
    world = GroupWorld(partials(3, 9))
    world.deadline()
    world.heap = []
    return world


VALUES = np.zeros(3, np.int64)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda id: Piece(id, 0, "n01", 3, VALUES), FormatError, "slice 3 of 3"),
        (lambda id: Appeal(id, 0, "n01", -1), FormatError, "slice -1 of 3"),
        (lambda id: Piece(id, 0, "n01", 0, np.zeros(4, np.int64)), FormatError, "has 3 values"),
        (lambda id: Piece(id, 0, "n01", 0, np.zeros(3, np.int16)), FormatError, "must be int64"),
        (lambda id: Piece(id, 0, "n01", 0, VALUES + 5 * BOUND + 1), FormatError, "beyond"),
        (lambda id: Reduced(id, 0, "n01", 0, VALUES, Digest(bytes(32))), FormatError, "not what its digest says"),
        (lambda id: Reduced(id, 0, "n01", 0, VALUES + 16 * BOUND, Digest(bytes(32))), FormatError, "beyond"),
    ],
)
def test_malformed_messages_are_refused(make: Callable[[bytes], Message], error: type[Exception], says: str) -> None:
    world = in_pieces()
    # Whichever member reduces slice 0 beside n01, or lacks it: the checks come first.
    slices = [place for place in range(3) if "n01" in world.group.reducers(place, tuple(world.inputs), 0)]
    message = make(world.group.id)
    if isinstance(message, Reduced):
        message = Reduced(message.group, 0, "n01", slices[0], message.values, message.digest)
    with pytest.raises(error, match=says):
        world.machines["n00"].receive(message)


def test_a_commitment_of_the_wrong_shape_is_refused() -> None:
    world, three = GroupWorld(partials(3, 9)), (Digest(bytes(32)),) * 3
    for message in (
        Commitment(world.group.id, "n01", 1, ()),
        Commitment(world.group.id, "n01", 0, three),
        Commitment(world.group.id, "n01", 6, three),
    ):
        with pytest.raises(FormatError, match="3 digests"):
            world.machines["n00"].receive(message)


def test_who_reduces_nothing_cannot_name_a_sum() -> None:
    world = in_pieces()
    place = next(place for place in range(3) if "n01" not in world.group.reducers(place, tuple(world.inputs), 0))
    digest = world.machines["n00"]._digest(place, VALUES)
    with pytest.raises(ProtocolError, match="no reducer"):
        world.machines["n00"].receive(Reduced(world.group.id, 0, "n01", place, VALUES, digest))


def test_strangers_and_other_groups_are_not_heard() -> None:
    world = in_pieces()
    for message in (Appeal(b"other", 0, "n01", 0), Appeal(world.group.id, 0, "stranger", 0), Appeal(world.group.id, 7, "n01", 0)):
        assert world.machines["n00"].receive(message) == []
    world.finish()
    assert world.machines["n00"].phase is Phase.DONE


def test_a_member_brings_a_vector_of_the_group() -> None:
    group = Group(b"x", ("n00",), 9, BOUND, 5)
    with pytest.raises(ProtocolError, match="does not belong"):
        GroupMember("n01", group, Partial(np.zeros(9, np.int64), 1, BOUND))
    with pytest.raises(ProtocolError, match="does not belong"):
        Liar("n00", group, Partial(np.zeros(8, np.int64), 1, BOUND))
    with pytest.raises(FormatError, match="ascending"):
        Group(b"x", ("b", "a"), 9, BOUND, 5)


def test_a_group_whose_sum_could_leave_the_range_is_refused() -> None:
    Group(b"x", ("a", "b"), 9, 1 << 20, (1 << 41) - 1)
    with pytest.raises(ProtocolError, match="divide them first"):
        Group(b"x", ("a", "b"), 9, 1 << 20, 1 << 41)
    with pytest.raises(ProtocolError, match="does not belong"):
        GroupMember("a", Group(b"x", ("a", "b"), 9, BOUND, 1), Partial(np.zeros(9, np.int64), 2, BOUND))


def test_a_malformed_message_that_came_early_stops_nobody() -> None:
    world = GroupWorld(partials(3, 9))
    world.deliver_all()
    for place in range(3):
        world.machines["n00"].receive(Piece(world.group.id, 0, "n01", place, np.zeros(3, np.int16)))
        digest = Digest(bytes(32))
        world.machines["n00"].receive(Reduced(world.group.id, 0, "n02", place, np.zeros(3, np.int64), digest))
    world.finish()
    assert {told(machine.result()) == exact(world.inputs.values()) for machine in world.machines.values()} == {True}
