import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.topology.tree import Hierarchy, Hub, Subtotal, gather
from hansa.model.aggregate import Aggregate
from hansa.model.layout import Layout, Tensor
from hansa.model.update import Update, uniform_scales

LAYOUT = Layout((Tensor("w", (20,)),))
SCALES = uniform_scales(LAYOUT, 1.0)
RANDOM = np.random.Generator(np.random.PCG64(8))
UPDATES = {
    f"t{place:02d}": Update(LAYOUT, SCALES, RANDOM.integers(-32767, 32768, 20).astype(np.int16), int(RANDOM.integers(1, 300)))
    for place in range(24)
}
NAMES = tuple(UPDATES)


def clipped(update: Update) -> Update:
    """A norm-clipped update in integers: values * limit // norm towards zero, where the norm is above the limit."""
    limit, norm = 60000, math.isqrt(int(np.sum(update.values.astype(np.int64) ** 2)))
    if norm <= limit:
        return update
    values = np.sign(update.values) * (np.abs(update.values.astype(np.int64)) * limit // norm)
    return Update(update.layout, update.scales, values.astype(np.int16), update.weight)


@st.composite
def hierarchies(draw: st.DrawFn) -> Hierarchy:
    """Any tree over all trainers: uneven, deep, with trainers and pure hubs in the middle."""
    hubs = [f"hub{place}" for place in range(draw(st.integers(0, 5)))]
    order = draw(st.permutations([*NAMES, *hubs]))
    above, parents = ["root"], {}
    for name in order:
        parents[name] = above[draw(st.integers(max(0, len(above) - 6), len(above) - 1))]
        above.append(name)
    return Hierarchy("root", parents)


@given(hierarchies())
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("rule", [lambda update: update, clipped], ids=["weighted mean", "norm-clipped mean"])
def test_any_tree_sums_to_the_stars_aggregate_bit_for_bit(rule: object, tree: Hierarchy) -> None:
    star = Aggregate.of(rule(update) for update in UPDATES.values())  # type: ignore[operator]
    total = gather(tree, UPDATES, 1, prepare=rule)  # type: ignore[arg-type]
    assert total.aggregate.digest() == star.digest() and total.contributors == NAMES


def test_clipping_does_something_here() -> None:
    assert sum(clipped(update) is not update for update in UPDATES.values()) > 12


@given(hierarchies(), st.sets(st.sampled_from([*NAMES, "hub0", "hub1", "hub2"]), max_size=8))
@settings(max_examples=60, deadline=None)
def test_below_dead_nodes_no_update_is_lost_or_counted_twice(tree: Hierarchy, dead: set[str]) -> None:
    alive = {name: update for name, update in UPDATES.items() if name not in dead}
    total = gather(tree, UPDATES, 1, dead=dead)
    star = Aggregate.of(alive.values())
    assert total.contributors == tuple(alive)
    assert (total.aggregate.count, total.aggregate.weight) == (len(alive), sum(update.weight for update in alive.values()))
    assert total.aggregate.digest() == star.digest()


@pytest.mark.parametrize("fanout", [1, 2, 3, 5, 30])
def test_a_declared_fan_out_holds(fanout: int) -> None:
    tree = Hierarchy.by_fanout("root", NAMES, fanout)
    assert max(len(tree.children(name)) for name in ("root", *NAMES)) == min(fanout, len(NAMES))
    assert gather(tree, UPDATES, 1).aggregate.digest() == Aggregate.of(UPDATES.values()).digest()


def test_the_shape_of_a_tree() -> None:
    tree = Hierarchy("r", {"a": "r", "b": "r", "c": "a", "d": "a", "e": "d"})
    assert (tree.children("a"), tree.below("a"), tree.bottom_up()[-1]) == (("c", "d"), {"a", "c", "d", "e"}, "r")
    assert tree.without("a").parents == {"b": "r", "c": "r", "d": "r", "e": "d"}
    with pytest.raises(ProtocolError, match="standby"):
        tree.without("r")


@pytest.mark.parametrize("parents", [{"r": "a", "a": "r"}, {"a": "b", "b": "a"}, {"a": "a"}, {"a": "nobody"}])
def test_what_is_no_tree_is_refused(parents: dict[str, str]) -> None:
    with pytest.raises(FormatError):
        Hierarchy("r", parents)


def subtotal(sender: str, *names: str, round: int = 1) -> Subtotal:
    return Subtotal(sender, round, Aggregate.of(UPDATES[name] for name in names), tuple(sorted(names)))


def hub() -> Hub:
    return Hub("root", Hierarchy("root", {"t00": "root", "t01": "t00", "t02": "t00", "t03": "root"}), 1)


def test_what_a_dead_node_had_reported_stays_and_only_the_rest_comes_anew() -> None:
    here = hub()
    here.receive(subtotal("t00", "t00", "t01"))
    assert here.give_up("t00") == ("t01", "t02") and here.waiting == ("t02", "t03")
    here.receive(subtotal("t01", "t01"))  # counted already
    here.receive(subtotal("t02", "t02"))
    here.receive(subtotal("t03", "t03"))
    total = here.close()
    assert total is not None and total.contributors == ("t00", "t01", "t02", "t03")
    assert total.aggregate.digest() == Aggregate.of(UPDATES[name] for name in NAMES[:4]).digest()


def test_a_dead_node_that_comes_late_is_refused() -> None:
    here = hub()
    here.give_up("t00")
    here.receive(subtotal("t01", "t01"))
    with pytest.raises(ProtocolError, match="was given up"):
        here.receive(subtotal("t00", "t00", "t01", "t02"))


def test_a_sum_of_counted_and_new_updates_is_refused_whole() -> None:
    here = Hub("root", Hierarchy("root", {"a": "root", "t01": "a", "t02": "t01"}), 1)
    here.receive(subtotal("a", "t02"))
    here.give_up("a")
    with pytest.raises(ProtocolError, match="t02 is counted already; t01 must send the sum of the others"):
        here.receive(subtotal("t01", "t01", "t02"))
    here.receive(subtotal("t01", "t01"))
    total = here.close()
    assert total is not None and total.contributors == ("t01", "t02")


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (lambda: subtotal("t01", "t01"), "does not report to root"),
        (lambda: subtotal("t03", "t03", "t04"), "not below it"),
        (lambda: subtotal("t03", "t03", round=2), "too late or too early"),
    ],
)
def test_what_is_not_a_childs_is_refused(message: object, says: str) -> None:
    here = hub()
    with pytest.raises(ProtocolError, match=says):
        here.receive(message())  # type: ignore[operator]
    assert here.close() is None
    with pytest.raises(ProtocolError, match="too late"):
        here.receive(subtotal("t03", "t03"))


def test_contributors_are_as_many_as_were_summed() -> None:
    with pytest.raises(FormatError, match="once each"):
        Subtotal("t00", 1, Aggregate.of([UPDATES["t00"], UPDATES["t01"]]), ("t00",))
    with pytest.raises(FormatError, match="once each"):
        Subtotal("t00", 1, Aggregate.of([UPDATES["t00"], UPDATES["t01"]]), ("t00", "t00"))


def test_a_round_without_updates_has_no_sum() -> None:
    with pytest.raises(ProtocolError, match="no update reached"):
        gather(Hierarchy.by_fanout("root", NAMES, 3), UPDATES, 1, dead=NAMES)
