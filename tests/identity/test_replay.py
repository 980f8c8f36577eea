from __future__ import annotations

import pytest
from _pytest.outcomes import Failed
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hansa.core.clock import ManualClock
from hansa.core.errors import EnvelopeError
from hansa.core.types import Address
from hansa.identity.replay import MAX_AHEAD, ReplayGuard

A, B = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)


def nonce(number: int) -> bytes:
    return number.to_bytes(32, "little")


def test_a_nonce_is_accepted_once_for_each_sender() -> None:
    clock = ManualClock(1000.0)
    guard = ReplayGuard(clock)
    guard.admit(A, 1100, nonce(1))
    guard.admit(B, 1100, nonce(1))
    guard.admit(A, 1100, nonce(2))
    with pytest.raises(EnvelopeError, match="received before"):
        guard.admit(A, 1100, nonce(1))


def test_memory_is_given_back_after_the_deadline_and_not_before() -> None:
    clock = ManualClock(1000.0)
    guard = ReplayGuard(clock)
    guard.admit(A, 1010, nonce(1))
    clock.advance(10.5)
    guard.admit(A, 1300, nonce(2))
    assert len(guard) == 2
    clock.advance(1)
    guard.admit(A, 1300, nonce(3))
    assert len(guard) == 2


def test_a_clock_set_back_does_not_bring_forgotten_nonces_to_life() -> None:
    class Settable:
        time = 1000.0

        def now(self) -> float:
            return self.time

    clock = Settable()
    guard = ReplayGuard(clock)
    guard.admit(A, 1010, nonce(1))
    clock.time = 1020.0
    guard.admit(A, 1030, nonce(2))
    clock.time = 1005.0
    with pytest.raises(EnvelopeError, match="expired"):
        guard.admit(A, 1010, nonce(1))


def test_a_full_memory_refuses_rather_than_forgets() -> None:
    clock = ManualClock(1000.0)
    guard = ReplayGuard(clock, per_sender=2, in_all=3)
    guard.admit(A, 1010, nonce(1))
    guard.admit(A, 1200, nonce(2))
    with pytest.raises(EnvelopeError, match="too many requests"):
        guard.admit(A, 1200, nonce(3))
    guard.admit(B, 1200, nonce(1))
    with pytest.raises(EnvelopeError, match="too many requests"):
        guard.admit(B, 1200, nonce(2))
    with pytest.raises(EnvelopeError, match="received before"):
        guard.admit(A, 1010, nonce(1))
    clock.advance(11)
    guard.admit(A, 1200, nonce(3))


def test_after_a_restart_no_deadline_that_the_predecessor_could_have_accepted_is_accepted() -> None:
    clock = ManualClock(1000.0)
    guard = ReplayGuard(clock, restarted_at=1000.0)
    with pytest.raises(EnvelopeError, match="restarted a moment ago"):
        guard.admit(A, 1000 + MAX_AHEAD, nonce(1))
    guard.admit(A, 1001 + MAX_AHEAD, nonce(1))


class Guarding(RuleBasedStateMachine):
    """Against a model that remembers everything: nothing is accepted twice, whatever happens."""

    guards: type[ReplayGuard] = ReplayGuard

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(1000.0)
        self.guard = self.guards(self.clock, per_sender=6, in_all=9)
        self.accepted: set[tuple[Address, int, bytes]] = set()

    @rule(sender=st.sampled_from([A, B]), ahead=st.integers(0, 4), numbers=st.lists(st.integers(0, 9), min_size=1, max_size=4))
    def send(self, sender: Address, ahead: int, numbers: list[int]) -> None:
        now = int(self.clock.now())
        for number in numbers:
            key = (sender, now + ahead, nonce(number))
            live = [seen for seen in self.accepted if seen[1] >= now]
            full = len(live) >= 9 or sum(seen[0] == sender for seen in live) >= 6
            try:
                self.guard.admit(*key)
            except EnvelopeError:
                assert key in self.accepted or full
            else:
                assert key not in self.accepted and not full
                self.accepted.add(key)

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        with pytest.raises(EnvelopeError):
            self.guard.admit(*data.draw(st.sampled_from(sorted(self.accepted))))

    @rule(seconds=st.floats(0.1, 3.0))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def restart(self) -> None:
        # As if the clock had stood 4 seconds before MAX_AHEAD: short enough for this machine's steps to reach beyond it.
        self.guard = self.guards(self.clock, per_sender=6, in_all=9, restarted_at=self.clock.now() - MAX_AHEAD + 4)
        for key in self.accepted:
            with pytest.raises(EnvelopeError):
                self.guard.admit(*key)
        self.clock.advance(5)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.guard) <= 9


Guarding.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
PLANTED = settings(
    max_examples=300, stateful_step_count=40, deadline=None, derandomize=True, database=None, phases=[Phase.generate], print_blob=False
)
TestGuarding = Guarding.TestCase


class Evicting(ReplayGuard):
    """A planted bug: makes room by forgetting."""

    def admit(self, sender: Address, deadline: int, nonce: bytes) -> None:
        if len(self) >= 9:
            self._seen, self._counts, self._total = {}, {}, 0
        super().admit(sender, deadline, nonce)


class Hasty(ReplayGuard):
    """A planted bug: forgets in the second of the deadline."""

    def _forget_expired(self) -> None:
        super()._forget_expired()
        for sender, by_deadline in self._seen.items():
            gone = len(by_deadline.pop(int(self._clock.now()), ()))
            self._counts[sender] -= gone
            self._total -= gone


class Forgetful(ReplayGuard):
    """A planted bug: takes no notice of a restart."""

    def __init__(self, clock: ManualClock, *, restarted_at: float | None = None, **bounds: int) -> None:
        super().__init__(clock, **bounds)


class Hoarding(ReplayGuard):
    """A planted bug: never gives memory back."""

    def _forget_expired(self) -> None:
        return


@pytest.mark.parametrize("planted", [Evicting, Hasty, Forgetful, Hoarding])
def test_a_planted_bug_is_caught(planted: type[ReplayGuard]) -> None:
    machine = type("Planted", (Guarding,), {"guards": planted})
    with pytest.raises((AssertionError, Failed)):
        run_state_machine_as_test(machine, settings=PLANTED)  # type: ignore[no-untyped-call]
