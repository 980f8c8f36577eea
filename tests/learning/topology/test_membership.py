import itertools

import pytest

from hansa.core.errors import ProtocolError
from hansa.learning.topology.membership import Border, Change, Join, Leave, Roster


def after(*changes: Change, most: int = 8) -> Roster:
    roster = Roster(most)
    for change in changes:
        roster = roster.apply(change)
    return roster


def test_who_joins_takes_part_from_the_next_border_on() -> None:
    roster = after(Join("a"), Border(1), Join("b"))
    assert roster.present == ("a",)
    assert roster.apply(Border(2)).present == ("a", "b")


def test_who_leaves_is_gone_at_once_but_the_rounds_members_stay_named() -> None:
    roster = after(Join("a"), Join("b"), Border(1), Leave("a"))
    assert (roster.members, roster.present) == (("a", "b"), ("b",))
    assert roster.apply(Border(2)).members == ("b",)


def test_a_node_that_left_can_come_back_at_the_next_border() -> None:
    roster = after(Join("a"), Join("b"), Border(1), Leave("a"), Join("a"))
    assert roster.present == ("b",) and roster.apply(Border(2)).present == ("a", "b")


def test_who_leaves_before_the_border_never_was_there() -> None:
    assert after(Join("a"), Join("b"), Leave("b"), Border(1)).members == ("a",)


def test_the_order_of_arrival_plays_no_part() -> None:
    found = {after(*(Join(name) for name in names), Border(1)) for names in itertools.permutations("abcd")}
    assert len({(roster.members, roster.revision) for roster in found}) == 1


def test_who_missed_an_event_sees_it_at_the_revision_for_ever() -> None:
    one = after(Join("a"), Join("b"), Border(1), Leave("b"), Border(2), Join("b"), Border(3))
    two = after(Join("a"), Join("b"), Border(1), Border(2), Border(3))
    assert one.members == two.members and one.revision != two.revision


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ((Join("a"), Join("a")), "joins once"),
        ((Join("a"), Border(1), Join("a")), "joins once"),
        ((Leave("a"),), "only a member"),
        ((Join("a"), Border(1), Leave("a"), Leave("a")), "only a member"),
        ((Border(2),), "cannot follow"),
        ((Border(1), Border(1)), "cannot follow"),
        ((Join(""),), "1 to 128"),
        ((Join("x" * 129),), "1 to 128"),
        (tuple(Join(name) for name in "abcdefghi"), "full with 8"),
    ],
)
def test_what_does_not_fit_is_refused(changes: tuple[Change, ...], says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        after(*changes)


def test_a_leaver_makes_room() -> None:
    full = after(*(Join(name) for name in "ab"), Border(1), most=2)
    with pytest.raises(ProtocolError, match="full"):
        full.apply(Join("c"))
    assert full.apply(Leave("a")).apply(Join("c")).apply(Border(2)).members == ("b", "c")
