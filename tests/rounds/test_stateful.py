"""Crashes, partitions, lies and silence in any order: `Watch` says what must hold whatever happens."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from hansa.core.errors import ProtocolError
from hansa.core.types import Role
from hansa.simulation import adversary as bad
from hansa.simulation.company import account, company
from hansa.simulation.verifier import Verifier
from hansa.simulation.worker import Coordinator, Trainer
from hansa.simulation.world import World
from tests.rounds.watch import Watch

VERIFIER_FAULTS = [bad.LazyVerifier, bad.ColludingVerifier, bad.SilentVerifier, bad.TwoFacedVerifier]
COORDINATOR_FAULTS = [
    bad.LyingCoordinator,
    bad.SilentCoordinator,
    bad.WithholdingCoordinator,
    bad.OmittingCoordinator,
    bad.HastyCoordinator,
    bad.StallingCoordinator,
]
LATE = (Trainer, bad.SilentTrainer, Trainer)
TRAINER_FAULTS = [bad.SilentTrainer, bad.PhantomTrainer]
FAST = settings(
    max_examples=200, stateful_step_count=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
SLOW = settings(FAST, max_examples=1500, stateful_step_count=60)


class Company(RuleBasedStateMachine):
    """Three seats with one liar or seven with two; any coordinator may turn and turn back; quorum whole or one less."""

    world: World

    @initialize(
        seven=st.booleans(),
        faults=st.lists(st.sampled_from(VERIFIER_FAULTS), max_size=2),
        primary=st.sampled_from([Coordinator, *COORDINATOR_FAULTS]),
        trainer=st.sampled_from([Trainer, *TRAINER_FAULTS]),
        whole=st.booleans(),
        shape=st.sampled_from([(2, 1), (3, 3), (4, 2)]),
        weather=st.sampled_from([(0.0, 0.0), (0.2, 1.5), (0.5, 0.0)]),
        seed=st.integers(0, 1 << 16),
        left=st.lists(st.integers(0, 99), max_size=2),
        room=st.integers(0, 2),
    )
    def begin(
        self,
        seven: bool,
        faults: Any,
        primary: Any,
        trainer: Any,
        whole: bool,
        shape: Any,
        weather: Any,
        seed: int,
        left: list[int],
        room: int,
    ) -> None:
        seats = 7 if seven else 3
        liars = faults if seven else faults[:1]
        trainers = [Trainer] * 4 if whole else [Trainer, Trainer, Trainer, trainer]
        self.world = company(
            trainers,
            [primary, Coordinator, Coordinator],
            [*liars, *[Verifier] * (seats - len(liars))],
            late=LATE,
            room=room,
            quorum=4 if whole else 3,
            rounds=shape[0],
            milestones=shape[1],
            seed=seed,
            loss=weather[0],
            delay=weather[1],
            max_gap=6,
        )
        self.names = sorted(self.world.parties)
        self.watch = Watch(self.world)
        # Who alone is still there at the end, everybody when nobody is named; coordinators may have turned by then.
        strangers = {account(Role.TRAINER, 4 + number) for number in range(len(LATE))}
        parties = [self.world.parties[name] for name in self.names if name not in strangers]
        honest = [party.account for party in parties if party.honest and party.role != Role.COORDINATOR]
        self.left = {honest[who % len(honest)] for who in left}

    @rule(seconds=st.integers(1, 4))
    def a_moment_passes(self, seconds: int) -> None:
        self.time_passes(seconds)

    @rule(seconds=st.integers(5, 30))
    def a_while_passes(self, seconds: int) -> None:
        self.time_passes(seconds)

    def time_passes(self, seconds: int) -> None:
        for _ in range(seconds):
            self.world.step()
            self.watch.check()

    @rule(who=st.integers(0, 99))
    def crash(self, who: int) -> None:
        self.world.kill(self.names[who % len(self.names)])

    @rule()
    def restart_all(self) -> None:
        for name in self.names:
            self.world.restart(name)

    @rule(who=st.integers(0, 99))
    def restart_one(self, who: int) -> None:
        self.world.restart(self.names[who % len(self.names)])

    @rule(members=st.integers(0, (1 << 16) - 1))
    def part(self, members: int) -> None:
        self.world.part(name for place, name in enumerate(self.names) if members >> place & 1)

    @rule(who=st.integers(0, 99))
    def lose_the_ledger(self, who: int) -> None:
        self.world.cut_off(self.names[who % len(self.names)])

    @rule()
    def heal(self) -> None:
        self.world.heal()

    @rule(who=st.integers(0, 2), fault=st.sampled_from(COORDINATOR_FAULTS))
    def turn(self, who: int, fault: type[Coordinator]) -> None:
        name = account(Role.COORDINATOR, who)
        self.world.parties[name].__class__ = fault
        self.watch.tainted.add(name)

    @rule(who=st.integers(0, 2))
    def repent(self, who: int) -> None:
        self.world.parties[account(Role.COORDINATOR, who)].__class__ = Coordinator

    @rule(who=st.integers(0, 6), told=st.booleans())
    def come_or_go(self, who: int, told: bool) -> None:
        """A trainer goes as its operator tells it, or behind the back of a node that may be down; who has no seat comes."""
        party, cohort = self.world.parties[account(Role.TRAINER, who)], self.world.referee.cohort
        with suppress(ProtocolError):
            if party.account not in cohort.members:
                self.world.referee.enrol(party.account, Role.TRAINER)
            elif told:
                party.note("leaving")
            else:
                self.world.referee.leave(party.account)

    @rule(seconds=st.sampled_from([15, 60, 300]))
    def the_chain_is_down(self, seconds: int) -> None:
        self.world.clock.advance(seconds)

    @precondition(lambda self: hasattr(self, "watch"))
    @invariant()
    def all_holds(self) -> None:
        self.watch.check()

    def teardown(self) -> None:
        if hasattr(self, "watch"):
            self.watch.finish(*self.left)


def test_any_order_of_crashes_lies_and_silences() -> None:
    run_state_machine_as_test(Company, settings=FAST)


@pytest.mark.slow
def test_any_order_of_crashes_lies_and_silences_for_long() -> None:
    run_state_machine_as_test(Company, settings=SLOW)
