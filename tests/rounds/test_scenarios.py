"""Whole jobs with one dishonest or silent party; the silences of contracts/SPEC.md by name."""

from __future__ import annotations

import pytest

from hansa.core.encoding import sha256
from hansa.core.types import Judgement, Role
from hansa.rounds import events as facts
from hansa.rounds.job import Phase
from hansa.simulation import adversary as bad
from hansa.simulation.company import BUDGET, CLIENT, WEALTH, account, company
from hansa.simulation.seal import ballot
from hansa.simulation.verifier import Verifier
from hansa.simulation.worker import Coordinator, Trainer
from tests.rounds.play import PRIMARY, STANDBY, TRAINERS, count, lost, not_now, play
from tests.rounds.watch import Watch


def test_silence_of_the_coordinator_brings_the_standby_and_costs_a_tenth() -> None:
    world = company(coordinators=(bad.SilentCoordinator, Coordinator))
    play(world)
    assert world.job().closed == 1 and {final.coordinator for final in world.job().final} == {STANDBY}
    assert lost(world, PRIMARY) == 1_000 and lost(world, STANDBY) == 0


def test_whoever_takes_over_is_brought_what_the_late_one_had_receipts_for() -> None:
    world = company(coordinators=(bad.StallingCoordinator, Coordinator), rounds=1)
    play(world)
    assert world.job().closed == 1 and {final.coordinator for final in world.job().final} == {STANDBY}
    assert lost(world, STANDBY) == 0


def test_silence_of_all_coordinators_refunds_the_client() -> None:
    world = company(coordinators=(bad.SilentCoordinator,) * 2)
    play(world)
    assert world.job().closed == 2 and not world.job().final
    assert world.purse.credit[CLIENT] >= BUDGET


def test_silence_of_a_trainer_stops_nobody_and_earns_nothing() -> None:
    world = company(trainers=(Trainer, Trainer, Trainer, bad.SilentTrainer), quorum=3)
    play(world)
    assert world.job().closed == 1
    assert world.purse.wallets[TRAINERS[3]] == WEALTH - WEALTH // 10 < world.purse.wallets[TRAINERS[0]]


def test_silence_of_too_many_trainers_refunds_the_client() -> None:
    world = company(trainers=(Trainer, Trainer, bad.SilentTrainer, bad.SilentTrainer), quorum=3)
    play(world)
    assert world.job().closed == 2 and world.purse.credit[CLIENT] >= BUDGET


@pytest.mark.parametrize("silent", [0, 1])
def test_two_thirds_of_the_verifiers_end_a_round_at_once(silent: int) -> None:
    world = company(verifiers=(*(Verifier,) * (3 - silent), *(bad.SilentVerifier,) * silent))
    play(world)
    assert [final.by_time for final in world.job().final] == [False, False]


@pytest.mark.parametrize("silent", [3, 4])
def test_r5_a_third_that_fetched_ends_a_round_by_time(silent: int) -> None:
    world = company(verifiers=(*(Verifier,) * (7 - silent), *(bad.SilentVerifier,) * silent))
    play(world)
    assert [final.by_time for final in world.job().final] == [True, True]
    assert world.job().final[0].finalised_at >= world.job().final[0].anchored_at + world.job().terms.window


def test_r5_below_a_third_the_anchor_lapses_and_the_coordinator_pays_half() -> None:
    world = company(verifiers=(*(Verifier,) * 2, *(bad.SilentVerifier,) * 5), rounds=1)
    play(world)
    assert count(world, facts.Lapsed) > 0 and not world.job().final
    assert lost(world, PRIMARY) >= 5_000


@pytest.mark.parametrize("lie", ["model", "aggregate", "credits"])
def test_r7_a_lie_costs_the_coordinator_everything(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad.LyingCoordinator, "lie", lie)
    world = company(coordinators=(bad.LyingCoordinator, Coordinator))
    play(world)
    assert world.job().closed == 1 and count(world, facts.Condemned) == 1
    assert lost(world, PRIMARY) == 10_000 and PRIMARY in world.job().removed
    assert world.purse.credit[CLIENT] >= 4_000


def test_r7_one_honest_seat_stops_a_lie_that_two_thirds_cannot_prove() -> None:
    world = company(coordinators=(bad.LyingCoordinator, Coordinator), verifiers=(Verifier, Verifier, bad.ColludingVerifier))
    world.kill(account(Role.VERIFIER, 0))
    watch = play(world, 40, until=Phase.CHALLENGED)
    assert count(world, facts.Challenged) == 1
    for _ in range(20):
        world.step()
        watch.check()
    assert count(world, facts.Voided) == 1 and lost(world, PRIMARY) == 0
    watch.finish()
    assert world.job().closed == 1


def test_r5_withheld_blobs_never_win_though_a_third_swears_it_fetched_them() -> None:
    world = company(coordinators=(bad.WithholdingCoordinator, Coordinator), verifiers=(Verifier, Verifier, bad.ColludingVerifier))
    play(world)
    assert world.job().closed == 1 and count(world, facts.Voided) == 1
    assert {final.coordinator for final in world.job().final} == {STANDBY}


def test_r5_withheld_blobs_lapse_when_nobody_even_challenges() -> None:
    world = company(coordinators=(bad.WithholdingCoordinator, Coordinator), verifiers=(bad.SilentVerifier,) * 3)
    play(world)
    assert count(world, facts.Lapsed) >= 1 and not world.job().final and lost(world, PRIMARY) >= 5_000


def test_r5_a_trainer_that_the_coordinator_ignores_goes_to_the_ledger() -> None:
    world = company(coordinators=(bad.OmittingCoordinator, Coordinator), quorum=3)
    play(world)
    assert count(world, facts.UpdateRegistered) == 1 and count(world, facts.Condemned) == 1
    assert {final.anchor.accepted for final in world.job().final} == {4}


def test_r5_nobody_is_left_out_before_it_could_go_to_the_ledger() -> None:
    world = company(coordinators=(bad.HastyCoordinator, Coordinator), quorum=3)
    play(world)
    assert count(world, facts.UpdateRegistered) == 0 and count(world, facts.Condemned) == 1
    assert {final.anchor.accepted for final in world.job().final} == {4}


def test_r5_an_update_that_was_left_with_nobody_accuses_nobody() -> None:
    world = company(trainers=(Trainer, Trainer, Trainer, bad.PhantomTrainer), quorum=3)
    play(world)
    assert count(world, facts.UpdateRegistered) == 2 and count(world, facts.Condemned) == 0
    assert world.job().closed == 1 and lost(world, PRIMARY) == 0


def test_a_trainer_that_cannot_reach_the_coordinator_is_collected_from_the_verifiers() -> None:
    world = company(quorum=3)
    real = world.connected
    # The two never hear each other; both hear everybody else.
    world.connected = lambda one, other: {one, other} != {TRAINERS[0], PRIMARY} and real(one, other)  # type: ignore[method-assign]
    play(world)
    assert world.job().closed == 1 and {final.anchor.accepted for final in world.job().final} == {4}
    assert {final.coordinator for final in world.job().final} == {PRIMARY}


def test_a_two_faced_verifier_stops_nothing() -> None:
    world = company(verifiers=(Verifier, Verifier, bad.TwoFacedVerifier))
    play(world)
    assert world.job().closed == 1


def test_more_than_a_third_of_lazy_verifiers_do_let_a_lie_through() -> None:
    """The stated limit of the design, so that nobody believes more of it."""
    world = company(coordinators=(bad.LyingCoordinator, Coordinator), verifiers=(bad.LazyVerifier, bad.LazyVerifier, Verifier))
    world.run(300, until=lambda: world.job().phase is Phase.CLOSED)
    assert world.job().final[0].coordinator == PRIMARY and world.purse.conserved()


def test_a_seat_that_contradicted_itself_is_not_counted_any_more() -> None:
    world = company(rounds=1)
    watch = Watch(world)
    world.kill(account(Role.VERIFIER, 1))
    honest, liar = world.parties[account(Role.VERIFIER, 0)], account(Role.VERIFIER, 2)
    assert isinstance(honest, Verifier)
    watch.tainted.add(liar)
    world.referee.finalise = not_now  # type: ignore[method-assign]
    while len(honest.boxes.get((1, 0), ())) < 2:
        world.step()
    del world.referee.finalise
    anchor = world.job().anchor
    assert anchor is not None
    sworn = [ballot(liar, 2, anchor, Judgement.VALID, anchor.digest()), ballot(liar, 2, anchor, Judgement.WRONG, sha256(b"right"))]
    world.referee.equivocation("finder", anchor, *sworn)
    assert lost(world, liar) == 5_000 and world.purse.credit["finder"] == 1_000
    for _ in range(60):
        world.step()
        watch.check()
    assert [(final.by_time, final.seats) for final in world.job().final] == [(True, 1)]
