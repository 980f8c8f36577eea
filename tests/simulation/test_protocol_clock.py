from __future__ import annotations

from hansa.core.clock import ManualClock
from hansa.simulation.protocol_clock import ProtocolClock


def test_r16_a_pause_counts_whole_or_not_at_all() -> None:
    wall = ManualClock(1_000)
    clock = ProtocolClock(wall, max_gap=10)
    wall.advance(10)
    assert clock.time() == 1_010 == clock.tick()
    wall.advance(11)
    assert clock.time() == 1_010 == clock.tick() and clock.extension == 11
    wall.advance(3)
    assert clock.tick() == 1_013 and clock.extension == 11


def test_somebody_has_to_tick_at_half_of_the_bound() -> None:
    wall = ManualClock(1_000)
    clock = ProtocolClock(wall, max_gap=10)
    wall.advance(4)
    assert not clock.due()
    wall.advance(1)
    assert clock.due()
    clock.tick()
    assert not clock.due()
