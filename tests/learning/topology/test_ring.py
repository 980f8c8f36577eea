from collections.abc import Callable

import numpy as np
import pytest

from hansa.core.errors import FormatError, ProtocolError
from hansa.core.types import Digest, FaultKind
from hansa.learning.topology.partial import Partial, digest_of
from hansa.learning.topology.ring import Passing, Pledge, RingNode, agreed, find_dead
from tests.learning.topology.world import BOUND, RingWorld, exact, partials, told


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("size", [1, 3, 40])
def test_every_node_ends_with_the_exact_sum(count: int, size: int) -> None:
    world = RingWorld(partials(count, size))
    world.finish()
    assert not world.dead
    assert {name: told(node.result) for name, node in world.nodes.items()} == dict.fromkeys(world.nodes, exact(world.inputs.values()))
    assert agreed({name: node.result.digest() for name, node in world.nodes.items() if node.result}) in {
        node.result.digest() for node in world.nodes.values() if node.result
    }


def test_each_node_sends_two_vectors_less_a_part_whatever_the_number() -> None:
    for count in (2, 4, 8):
        world = RingWorld(partials(count, 64))
        world.finish()
        sent = [sum(message.values.size for message in world.old if message.sender == name) for name in world.nodes]
        assert sent == [2 * (count - 1) * 64 // count] * count


@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize("when", range(12))
def test_a_ring_closes_around_a_dead_node_and_starts_from_the_pledged_inputs(count: int, when: int) -> None:
    world = RingWorld(partials(count, 24))
    for _ in range(min(when, 2 * (count - 1) * count - 1)):
        world.deliver(0)
    victim = world.nodes["n01"].order[0]
    world.kill(victim)
    world.finish()
    lasted = world.alive
    for node in lasted.values():
        order = node.order
        assert told(node.result) == exact(world.inputs[name] for name in order)
        assert set(order) in (set(lasted), set(world.inputs))  # the victim is in only where the sum was finished without it
    assert len({node.result.digest() for node in lasted.values() if node.result}) == 1


def test_several_dead_nodes() -> None:
    world = RingWorld(partials(7, 30))
    for _ in range(9):
        world.deliver(3)
    for name in ("n01", "n02", "n05"):
        world.kill(name)
    world.finish()
    assert sorted(world.alive) == ["n00", "n03", "n04", "n06"]
    assert {told(node.result) == exact(world.inputs[name] for name in world.alive) for node in world.alive.values()} == {True}


def test_a_cut_between_two_living_nodes_is_found_by_the_earliest_wait() -> None:
    world = RingWorld(partials(5, 20))
    order = world.nodes["n00"].order
    while world.heap:
        if world.heap[0].sender == order[2]:
            world.heap.pop(0)  # nothing from there arrives
        else:
            world.deliver(0)
    assert world.pass_the_deadline() == (order[2],)
    world.finish()
    assert {told(node.result) == exact(world.inputs[name] for name in order if name != order[2]) for node in world.alive.values()} == {True}


def test_nobody_is_blamed_before_the_deadline_or_in_a_finished_ring() -> None:
    world = RingWorld(partials(3, 6))
    assert [node.stalled(1.0) for node in world.nodes.values()] == [None] * 3
    world.finish()
    heard = [said for node in world.nodes.values() if (said := node.stalled(0.0))]
    with pytest.raises(ProtocolError, match="nobody waits"):
        find_dead(world.nodes["n00"].order, world.nodes["n00"].id, heard)


def test_messages_of_another_ring_and_repeated_ones_change_nothing() -> None:
    world = RingWorld(partials(4, 8))
    for _ in range(5):
        world.deliver(0)
    for message in list(world.old):
        world.hand(message)
    world.kill("n03")
    world.deliver_all()
    world.pass_the_deadline()
    for message in list(world.old):
        world.hand(message)
    world.finish()
    assert {told(node.result) == exact(world.inputs[name] for name in world.alive) for node in world.alive.values()} == {True}


def changed(message: Passing, **changes: object) -> Passing:
    fields = {name: getattr(message, name) for name in Passing.__slots__}
    fields |= changes
    if "digest" not in changes:
        fields["digest"] = digest_of(fields["values"], fields["step"], fields["slice"])
    return Passing(**fields)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda m: changed(m, sender="stranger"), ProtocolError),
        (lambda m: changed(m, receiver="other"), ProtocolError),
        (lambda m: changed(m, step=-1, digest=m.digest), FormatError),
        (lambda m: changed(m, step=99), FormatError),
        (lambda m: changed(m, slice=(m.slice + 1) % 3), FormatError),
        (lambda m: changed(m, values=m.values[:-1]), FormatError),
        (lambda m: changed(m, values=m.values.astype(np.int32)), FormatError),
        (lambda m: changed(m, values=m.values + BOUND * 100), FormatError),
        (lambda m: changed(m, digest=Digest(bytes(32))), FormatError),
    ],
)
def test_malformed_slices_are_refused_and_leave_the_node_as_it_was(change: Callable[[Passing], Passing], error: type[Exception]) -> None:
    world = RingWorld(partials(3, 9))
    good = world.heap[0]
    with pytest.raises(error):
        world.nodes[good.receiver].receive(change(good), 0.0)
    world.finish()
    assert told(world.nodes["n00"].result) == exact(world.inputs.values())


def test_two_different_slices_in_one_step_are_a_fault() -> None:
    world = RingWorld(partials(3, 9))
    good = world.heap[0]
    node = world.nodes[good.receiver]
    node.receive(good, 0.0)
    assert node.receive(changed(good, values=good.values + 1), 0.0) == []
    assert [(fault.account, fault.kind) for fault in node.faults] == [(good.sender, FaultKind.EQUIVOCATION)]


def test_a_node_starts_from_its_pledged_input_alone() -> None:
    inputs = partials(3, 6)
    pledges = {name: Pledge(name, own.weight, own.digest()) for name, own in inputs.items()}
    other = Partial(inputs["n00"].values * 0, inputs["n00"].weight, BOUND)
    for pledged in (pledges, {"n01": pledges["n01"]}):
        with pytest.raises(ProtocolError, match="pledged inputs alone"):
            RingNode("n00", other, pledged, most=5, seed=1, round=1, patience=1.0)
    for wrong in ({"x": pledges["n01"]}, {"n01": Pledge("n01", 6, pledges["n01"].digest)}, {"n01": Pledge("n01", 0, Digest(bytes(32)))}):
        with pytest.raises(FormatError, match="leave (x|n01) out"):
            RingNode("n00", inputs["n00"], {**pledges, **wrong}, most=5, seed=1, round=1, patience=1.0)
    with pytest.raises(ProtocolError, match="can reach 2\\^62"):
        RingNode("n00", inputs["n00"], pledges, most=1 << 52, seed=1, round=1, patience=1.0)


def test_a_ring_does_not_close_around_strangers_or_oneself() -> None:
    world = RingWorld(partials(3, 6))
    for dead in (["n00"], ["stranger"]):
        with pytest.raises(ProtocolError, match="closes around others"):
            world.nodes["n00"].close_around(dead, 0.0)


def test_results_that_differ_are_named() -> None:
    a, b = Digest(b"a" * 32), Digest(b"b" * 32)
    assert agreed({"x": a, "y": a}) == a
    with pytest.raises(ProtocolError, match="y differ"):
        agreed({"x": a, "y": b, "z": a})
    with pytest.raises(ProtocolError):
        agreed({})
