"""Whole jobs through crashes, proof that comes late, deadlines, draws and a chain that is down."""

from __future__ import annotations

import pytest

from hansa.core import merkle
from hansa.core.encoding import sha256
from hansa.core.errors import ProtocolError
from hansa.core.types import Judgement, Role
from hansa.rounds import events as facts
from hansa.rounds.credits import credit_proof
from hansa.rounds.job import Phase
from hansa.simulation import adversary as bad
from hansa.simulation.company import BUDGET, CLIENT, WEALTH, account, company
from hansa.simulation.miniature import credit_table
from hansa.simulation.purse import net_of
from hansa.simulation.seal import ballot, shard_leaf
from hansa.simulation.verifier import Verifier
from hansa.simulation.worker import Coordinator
from tests.rounds.play import PRIMARY, STANDBY, TRAINERS, count, lost, models, play
from tests.rounds.watch import Watch


def test_an_undisturbed_job_pays_everybody_and_leaves_nothing() -> None:
    world = company(rounds=4, milestones=2)
    play(world)
    assert world.job().closed == 1 and len(world.job().final) == 4
    assert not world.refused
    assert world.purse.accrued == world.purse.claimed
    paid = [world.purse.wallets[name] - (WEALTH - WEALTH // 10) for name in TRAINERS]
    assert len(set(paid)) == 1 and paid[0] > 0
    assert all(world.purse.wallets[name] > WEALTH - WEALTH // 10 for name in world.job().verifiers)


@pytest.mark.parametrize("victim", [PRIMARY, STANDBY, account(Role.VERIFIER, 0), TRAINERS[0], CLIENT])
def test_a_crash_at_any_second_changes_no_model(victim: str) -> None:
    calm = company()
    play(calm)
    for second in range(1, 16):
        world = company()
        watch = Watch(world)
        for now in range(60):
            if now == second:
                world.kill(victim)
            if now == second + 3:
                world.restart(victim)
            world.step()
            watch.check()
        watch.finish()
        assert world.job().closed == 1 and models(world) == models(calm)
        assert count(world, facts.Penalised) == 0


def test_a_crash_after_the_draft_sends_the_same_anchor_again() -> None:
    """A late update would make another anchor; the journalled draft is what was, perhaps, already sent."""
    world = company(quorum=3, rounds=1)
    world.kill(TRAINERS[3])
    watch = Watch(world)
    world.run(10)
    world.cut_off(PRIMARY)
    primary = world.parties[PRIMARY]
    assert isinstance(primary, Coordinator)
    world.run(20, until=lambda: bool(primary.drafts))
    world.kill(PRIMARY)
    # After the crash only the late trainer is heard, and no verifier that could hold the blobs of a new draft.
    world.part([PRIMARY, TRAINERS[3]])
    world.restart(TRAINERS[3])
    world.restart(PRIMARY)
    world.run(4)
    world.heal()
    world.run(3)
    watch.finish()
    assert world.job().final[0].anchor.accepted == 3 and world.job().closed == 1


def test_r17_a_coordinator_that_dies_after_its_anchor_leaves_the_blobs_behind() -> None:
    world = company(rounds=1)
    watch = play(world, until=Phase.ANCHORED)
    world.kill(PRIMARY)
    for _ in range(40):
        world.step()
        watch.check()
    assert world.job().closed == 1 and world.job().final[0].coordinator == PRIMARY


def test_r7_later_proof_undoes_a_final_round_and_all_that_followed() -> None:
    calm = company(rounds=3)
    play(calm)
    world = company(rounds=3)
    watch = Watch(world)
    while len(world.job().final) < 2:
        world.step()
        watch.check()
    first = world.job().final[0].anchor
    # Two seats that signed valid swear the opposite while the window runs.
    swear = [ballot(seat, number, first, Judgement.WRONG, sha256(b"right")) for number, seat in enumerate(world.job().verifiers[:2])]
    watch.tainted |= {PRIMARY}
    world.referee.condemn("anyone", first, sha256(b"right"), swear)
    watch.check()
    assert (world.job().round, world.job().attempt, world.job().final) == (1, 1, ())
    assert world.job().base == world.job().terms.genesis and world.job().coordinator == STANDBY
    play(world, watch=watch)
    assert world.job().closed == 1 and models(world) == models(calm) and lost(world, PRIMARY) == 10_000
    assert [final.anchor.attempt for final in world.job().final] == [1, 1, 1]


def test_r7_who_holds_the_proof_brings_it_before_the_window_ends() -> None:
    world = company(rounds=3)
    watch = Watch(world)
    while len(world.job().final) < 1:
        world.step()
    first = world.job().final[0].anchor
    holder = world.parties[account(Role.VERIFIER, 2)]
    assert isinstance(holder, Verifier)
    for number, seat in enumerate(world.job().verifiers):
        holder.boxes[(1, 0)][number] = ballot(seat, number, first, Judgement.WRONG, sha256(b"right"))
    watch.tainted |= {PRIMARY}
    world.run(20)
    watch.finish()
    assert count(world, facts.Condemned) == 1 and world.job().closed == 1


def test_nothing_is_paid_twice() -> None:
    world = company(rounds=2, milestones=2)
    play(world)
    table = credit_table(world.job().final[-1].anchor, world.seen.get) or {}
    for name, amount in table.items():
        assert world.payout.paid[name] == amount
        with pytest.raises(ProtocolError, match="claimed all"):
            world.payout.claim(name, amount, credit_proof(world.referee.job, table, name))
    for name in world.job().verifiers:
        with pytest.raises(ProtocolError, match="owes"):
            world.payout.claim_fee(name, 0)


def test_a_wrong_anchor_that_was_only_seen_too_late_lapses() -> None:
    world = company(coordinators=(bad.LyingCoordinator, Coordinator), rounds=1)
    watch = play(world, until=Phase.ANCHORED)
    seats = world.job().verifiers
    for name in seats:
        world.kill(name)
    world.run(world.job().terms.window + 1)
    world.restart(seats[0])
    watch.finish(seats[0])
    assert count(world, facts.Lapsed) >= 1 and count(world, facts.Challenged) == 0


def test_everybody_crashes_at_once_and_goes_on() -> None:
    for second in range(1, 16):
        world = company(rounds=3)
        watch = Watch(world)
        for now in range(60):
            for name in world.parties:
                if now == second:
                    world.kill(name)
                if now == second + 2:
                    world.restart(name)
            world.step()
            watch.check()
        watch.finish()
        assert world.job().closed == 1 and len(models(world)) == 3


def test_one_party_alone_of_any_kind_ends_every_job() -> None:
    for name in (*company().parties,):
        world = company(quorum=3, rounds=3, milestones=3)
        watch = play(world, 12, until=Phase.DONE)
        watch.finish(name)


def test_loss_and_delay_are_ridden_out() -> None:
    for seed in range(8):
        world = company(seed=seed, loss=0.4, delay=2.0, quorum=3)
        play(world)
        assert world.job().closed == 1


def test_r16_a_chain_that_was_down_took_nobodys_time() -> None:
    world = company(coordinators=(bad.LyingCoordinator, Coordinator), verifiers=(Verifier, Verifier, bad.ColludingVerifier), max_gap=8)
    watch = Watch(world)
    while world.job().phase is not Phase.ANCHORED:
        world.step()
    # Down for many windows: nobody could challenge, and the colluder could end the round the moment the chain is back.
    world.clock.advance(500)
    world.kill(account(Role.VERIFIER, 0))
    for _ in range(40):
        world.step()
        watch.check()
    assert world.referee.clock.extension >= 500 and count(world, facts.RoundFinalised) == 0
    watch.finish()


def test_r16_a_quiet_chain_is_ticked_so_that_time_goes_on() -> None:
    world = company(coordinators=(bad.SilentCoordinator, Coordinator), max_gap=4)
    play(world)
    assert world.referee.clock.extension == 0 and world.job().closed == 1


def test_work_delivered_at_the_deadline_is_paid() -> None:
    world = company(rounds=1)
    watch = Watch(world)
    while world.job().phase is not Phase.OPEN:
        world.step()
    for name in world.parties:
        world.kill(name)
    world.run(world.job().terms.deadline - world.referee.clock.time() - 5)
    for name in {*world.parties} - {STANDBY}:
        world.restart(name)
    while world.job().phase is not Phase.CLOSED:
        world.step()
        watch.check()
    watch.finish()
    assert world.job().final[0].finalised_at >= world.job().terms.deadline - 2
    assert world.job().closed == 1 and world.purse.accrued == net_of(BUDGET)


def test_a_milestone_is_paid_and_the_rest_refunded_when_the_deadline_comes() -> None:
    world = company(rounds=2, milestones=2)
    watch = Watch(world)
    while len(world.job().final) < 1:
        world.step()
    for name in world.parties:
        world.kill(name)
    world.run(world.job().terms.deadline - world.referee.clock.time())
    watch.finish(account(Role.VERIFIER, 1))
    assert world.job().settled == (0,) and world.job().closed == 2
    assert world.purse.accrued == net_of(BUDGET) and world.purse.credit[CLIENT] == BUDGET


def test_r8_seats_are_drawn_and_who_does_not_reveal_forfeits() -> None:
    world = company(verifiers=(*(Verifier,) * 4, bad.SilentVerifier), seats=3)
    silent = account(Role.VERIFIER, 4)
    play(world)
    assert silent not in world.job().verifiers and len(world.job().verifiers) == 3
    assert world.job().closed == 1
    assert lost(world, silent) == 500


def test_r8_too_few_reveals_cancel_the_job() -> None:
    world = company(verifiers=(Verifier, *(bad.SilentVerifier,) * 3), seats=3)
    world.run(120, until=lambda: world.job().phase is Phase.CLOSED)
    assert world.job().closed == 3 and world.purse.credit[CLIENT] == BUDGET and not world.purse.escrow


def test_a_job_that_nobody_started_in_time_expires() -> None:
    world = company()
    world.kill(CLIENT)
    for name in world.parties:
        world.kill(name)
    world.run(world.referee.terms.deadline - world.referee.clock.time())
    Watch(world).finish(TRAINERS[2])
    assert world.job().closed == 2 and world.purse.credit[CLIENT] == BUDGET


def test_r11_shards_open_when_a_milestone_is_firm_and_acceptance_outlives_the_job() -> None:
    secrets = [(sha256(b"shard%d" % number), sha256(b"salt%d" % number)) for number in range(2)]
    leaves = [shard_leaf(CLIENT, number, digest, salt) for number, (digest, salt) in enumerate(secrets)]
    shards = tuple((digest, salt, tuple(merkle.proof(leaves, leaf))) for (digest, salt), leaf in zip(secrets, leaves, strict=True))
    world = company(rounds=2, milestones=2, acceptance=merkle.root(leaves), shards=shards)
    play(world)
    world.run(20)
    assert [milestone for milestone, _ in world.job().accepted] == [0, 1]
    assert [model for _, model in world.job().accepted] == models(world)
    opened = [fact for fact in world.referee.log if isinstance(fact, facts.ShardOpened)]
    assert all(fact.at >= world.job().final[fact.milestone].anchored_at + world.job().terms.window for fact in opened)


def test_r11_an_unopened_shard_changes_nothing_about_payment() -> None:
    world = company(rounds=2, milestones=2, acceptance=sha256(b"never opened"))
    play(world)
    assert world.job().closed == 1 and world.purse.accrued == 2 * net_of(BUDGET) and not world.job().accepted
