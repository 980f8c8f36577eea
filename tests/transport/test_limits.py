from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hansa.core.clock import ManualClock
from hansa.core.types import Address
from hansa.identity.envelope import LIFETIME
from hansa.identity.replay import ReplayGuard
from hansa.transport.limits import Limits, TokenBuckets

A, B, C = (Address("0x" + pair * 20) for pair in ("aa", "bb", "cc"))


def test_a_burst_is_followed_by_the_rate() -> None:
    clock = ManualClock()
    buckets = TokenBuckets(2.0, 3.0, clock)
    assert [buckets.take(A) for _ in range(4)] == [True, True, True, False]
    clock.advance(0.5)
    assert [buckets.take(A) for _ in range(2)] == [True, False]
    clock.advance(1000)
    assert [buckets.take(A) for _ in range(4)] == [True, True, True, False]


def test_one_sender_does_not_take_from_another() -> None:
    buckets = TokenBuckets(1.0, 1.0, ManualClock())
    assert (buckets.take(A), buckets.take(A), buckets.take(B)) == (True, False, True)


def test_a_full_table_refuses_newcomers_until_somebody_has_rested() -> None:
    clock = ManualClock()
    buckets = TokenBuckets(1.0, 1.0, clock, senders=2)
    assert buckets.take(A) and buckets.take(B)
    assert not buckets.take(C)
    clock.advance(1.0)
    assert buckets.take(C)


@given(st.lists(st.floats(0, 3), max_size=80))
def test_no_pattern_of_calls_gets_more_than_burst_and_rate(pauses: list[float]) -> None:
    clock = ManualClock(0.0)
    buckets = TokenBuckets(1.5, 4.0, clock)
    taken = 0
    for pause in pauses:
        clock.advance(pause)
        taken += buckets.take(A)
        assert taken <= 4.0 + 1.5 * clock.now() + 1e-6


def test_the_default_rate_fits_into_the_memory_of_nonces() -> None:
    limits, clock = Limits(), ManualClock(0.0)
    guard = ReplayGuard(clock)
    buckets = TokenBuckets(limits.rate, limits.burst, clock)
    count = 0
    for second in range(LIFETIME + 60):
        while buckets.take(A):
            count += 1
            guard.admit(A, second + LIFETIME, count.to_bytes(32, "little"))
        clock.advance(1)
    assert count >= limits.rate * LIFETIME
