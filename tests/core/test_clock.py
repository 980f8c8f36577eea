"""Clocks: one that tells the time, one that is told."""

from __future__ import annotations

import time

import pytest

from hansa.core.clock import ManualClock, SystemClock


def test_the_system_clock_tells_the_time() -> None:
    before = time.time()
    assert before <= SystemClock().now() <= time.time()


def test_a_manual_clock_moves_when_told_and_only_then() -> None:
    clock = ManualClock(100.0)
    assert clock.now() == clock.now() == 100.0
    clock.advance(2.5)
    clock.advance(0)
    assert clock.now() == 102.5


def test_no_clock_runs_backwards() -> None:
    clock = ManualClock(100.0)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
    assert clock.now() == 100.0
