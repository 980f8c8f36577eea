import pytest

from hansa.core.errors import ProtocolError
from hansa.learning.topology.declaration import Grid
from hansa.learning.topology.placement import Placement, group_id
from tests.learning.topology.world import partials

NAMES = tuple(partials(16, 1))


def full() -> Placement:
    return Placement(Grid(4, 2)).admit(NAMES, seed=5, round=0)


def test_every_cell_of_a_full_grid_is_taken_once() -> None:
    assert sorted(full().cells.values()) == [(row, column) for row in range(4) for column in range(4)]


def test_the_order_of_arrival_plays_no_part() -> None:
    assert Placement(Grid(4, 2)).admit(NAMES[::-1], seed=5, round=0).cells == full().cells
    assert Placement(Grid(4, 2)).admit(NAMES, seed=6, round=0).cells != full().cells


def test_groups_are_the_lines_of_the_rounds_axis() -> None:
    here = full()
    for round in range(4):
        groups = here.groups(round)
        assert sorted(name for group in groups.values() for name in group) == list(NAMES)
        for (other,), group in groups.items():
            assert {here.cells[name][1 - round % 2] for name in group} == {other} and len(group) == 4
            assert list(group) == sorted(group)


def test_coordinates_are_redrawn_within_the_group_and_only_along_the_axis() -> None:
    before = full().without(NAMES[3:7])
    for round in range(6):
        after = before.redrawn(5, round)
        assert len(set(after.cells.values())) == len(after.cells)
        assert {name: cell[1 - round % 2] for name, cell in after.cells.items()} == {
            name: cell[1 - round % 2] for name, cell in before.cells.items()
        }
        assert after.cells != before.cells
        before = after


def test_partners_change_from_one_pass_to_the_next() -> None:
    here, seen = full(), set[frozenset[str]]()
    for round in range(20):
        seen |= {frozenset(group) for group in here.groups(round).values()}
        here = here.redrawn(5, round)
    assert len(seen) > 60  # 80 groups met; on a grid that stands still they would be 8


def test_newcomers_get_free_cells_and_a_full_grid_refuses_more() -> None:
    here = full().without(["n03", "n09"])
    free = set(full().cells.values()) - set(here.cells.values())
    after = here.admit(["x", "y"], 5, 1)
    assert {after.cells["x"], after.cells["y"]} == free
    assert {name: after.cells[name] for name in here.cells} == here.cells
    with pytest.raises(ProtocolError, match="17 peers do not fit"):
        after.admit(["z"], 5, 2)
    with pytest.raises(ProtocolError, match="leaves first"):
        here.admit(["n00"], 5, 1)
    assert here.admit([], 5, 1) is here


def test_each_group_of_each_round_has_its_own_name() -> None:
    assert len({group_id(seed, round, (line,)) for seed in range(3) for round in range(3) for line in range(4)}) == 36
