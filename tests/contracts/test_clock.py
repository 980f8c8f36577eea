"""Clock: protocol time leaves out the time the chain was down (R16)."""

from __future__ import annotations

import pytest

from tests.contracts.abi import Contract, refused
from tests.contracts.evm import DAY
from tests.contracts.world import World

GAP = 100


@pytest.fixture
def clock(world: World) -> Contract:
    return world.deploy("Clock", GAP)


def test_time_runs_with_the_blocks(world: World, clock: Contract) -> None:
    before = clock.time()
    world.evm.pass_time(GAP)
    assert clock.time() == before + GAP == clock.tick().value
    assert clock.extension() == 0


def test_r16_a_gap_above_the_bound_extends_every_deadline_by_the_whole_gap(world: World, clock: Contract) -> None:
    before = clock.time()
    world.evm.pass_time(GAP + 1)
    receipt = clock.tick()
    assert receipt.value == before == clock.time()
    assert receipt.one("Extended").gap == GAP + 1 == clock.extension()
    world.evm.pass_time(7)
    assert clock.tick().value == before + 7


def test_the_view_answers_what_a_tick_would(world: World, clock: Contract) -> None:
    for wait in (3, GAP, GAP + 1, 5 * GAP, 1):
        world.evm.pass_time(wait)
        assert clock.time() == clock.tick().value


def test_equal_timestamps_are_accepted(world: World, clock: Contract) -> None:
    world.evm.pass_time(5)
    first = clock.tick().value
    world.evm.pass_time(0)
    assert clock.tick().value == first


def test_protocol_time_never_goes_back_between_ticks(world: World, clock: Contract) -> None:
    last = clock.tick().value
    for wait in (1, GAP + 50, GAP, 0, GAP + 1, 30):
        world.evm.pass_time(wait)
        now = clock.tick().value
        assert now >= last
        last = now


@pytest.mark.parametrize("gap", [0, 1, 7 * DAY + 1])
def test_a_gap_out_of_bounds_is_refused(world: World, gap: int) -> None:
    with refused("GapOutOfBounds", gap, 2, 7 * DAY):
        world.deploy("Clock", gap)
