"""The state machine of one round: every transition, every guard, every silence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contracts.abi import refused
from tests.contracts.world import FETCHED, UNIT, WRONG, Account, Job, Terms, World, digest

OPEN, ANCHORED, CHALLENGED = range(3)


def staked(world: World, account: Account) -> int:
    """Stake of an account, in whole units."""
    return int(world.vault.staked(account.address)) // UNIT


def test_an_anchor_is_announced_whole(world: World, job: Job) -> None:
    draft = job.draft()
    event = world.ledger.anchor(draft, sender=job.coordinator.address).one("RoundAnchored")
    assert list(vars(event.anchor).values()) == draft.row()
    assert event.digest == draft.digest == world.ledger.roundOf(job.id, 1).anchor
    assert event.windowEnds == event.anchoredAt + job.terms.window
    assert (job.state.roundPhase, job.state.round) == (ANCHORED, 1)


def test_only_the_coordinator_anchors(world: World, job: Job) -> None:
    for other in (job.coordinators[1], job.trainers[0], job.client):
        with refused("NotCoordinator", other.address):
            world.ledger.anchor(job.draft(), sender=other.address)


BAD_ANCHORS = [
    ({"round": 2}, "WrongRound"),
    ({"attempt": 1}, "WrongRound"),
    ({"base": digest("other")}, "WrongBase"),
    ({"accepted": 1}, "WrongAccepted"),
    ({"accepted": 5}, "WrongAccepted"),
    *[({name: bytes(32)}, "EmptyDigest") for name in ("updates", "manifest", "aggregate", "model", "credits")],
    ({"manifestSize": 0}, "EmptyDigest"),
    ({"modelSize": 0}, "EmptyDigest"),
]


@pytest.mark.parametrize(("change", "error"), BAD_ANCHORS)
def test_an_ill_formed_anchor_is_refused(world: World, job: Job, change: dict[str, Any], error: str) -> None:
    with refused(error):
        world.ledger.anchor(job.draft(**change), sender=job.coordinator.address)


def test_one_anchor_at_a_time(world: World, job: Job) -> None:
    job.anchor()
    with refused("WrongRoundPhase", job.id, ANCHORED):
        world.ledger.anchor(job.draft(), sender=job.coordinator.address)


def test_nothing_is_anchored_from_the_deadline_on(world: World, job: Job) -> None:
    world.go_to(job.terms.deadline - 1)
    draft = job.draft()
    mark = world.evm.snapshot()
    world.ledger.anchor(draft, sender=job.coordinator.address)
    world.evm.revert(mark)
    world.wait(1)
    with refused("TooLate", job.terms.deadline, job.terms.deadline):
        world.ledger.anchor(draft, sender=job.coordinator.address)


def test_two_thirds_valid_make_the_round_final(world: World, job: Job) -> None:
    anchor = job.anchor()
    receipt = job.finalise(anchor)
    event = receipt.one("RoundFinalised")
    assert (event.round, event.model, event.byTime, event.seats) == (1, anchor.model, False, 0b11)
    assert (job.state.round, job.state.roundPhase, job.state.model) == (2, OPEN, anchor.model)
    opened = receipt.one("RoundOpened")
    assert (opened.round, opened.attempt, opened.base) == (2, 0, anchor.model)


def test_less_than_two_thirds_do_not(world: World, job: Job) -> None:
    anchor = job.anchor()
    with refused("TooFewVerdicts", 1, 3):
        job.finalise(anchor, [0])
    with refused("TooFewVerdicts", 0, 3):
        job.finalise(anchor, [0, 1, 2], FETCHED)


@pytest.mark.parametrize(("seats", "enough"), [(1, 1), (2, 2), (4, 3), (5, 4), (6, 4), (7, 5)])
def test_two_thirds_round_up(world: World, seats: int, enough: int) -> None:
    job = Job(world, Terms(verifiers=seats)).running()
    anchor = job.anchor()
    if enough > 1:
        with refused("TooFewVerdicts"):
            job.finalise(anchor, range(enough - 1))
    job.finalise(anchor, range(enough))


def test_fetched_verdicts_may_be_listed_with_valid_ones(world: World, job: Job) -> None:
    anchor = job.anchor()
    signatures = [job.sign(0, anchor, 1), job.sign(1, anchor, 1), job.sign(2, anchor, FETCHED)]
    assert world.ledger.finalise(anchor, [0, 1, 2], [1, 1, 2], signatures).one("RoundFinalised").seats == 0b111


def test_only_the_anchor_under_judgement_is_judged(world: World, job: Job) -> None:
    anchor = job.anchor()
    with refused("UnknownAnchor"):
        job.finalise(replace(anchor, model=digest("other")))
    job.finalise(anchor)
    with refused("WrongRoundPhase", job.id, OPEN):
        job.finalise(anchor)


def test_r5_withheld_blobs_never_win(world: World) -> None:
    job = Job(world, Terms(verifiers=4)).running()
    anchor = job.anchor()
    world.wait(job.terms.window)
    with refused("TooFewVerdicts", 1, 4):
        job.by_time(anchor, [0])  # a third of four, rounded up, is two
    world.wait(job.terms.window)
    late = job.coordinators[0]
    world.ledger.lapse(anchor)
    assert staked(world, late) == 950  # the coordinator's bond pays
    assert (job.state.round, job.state.attempt, job.state.roundPhase) == (1, 1, OPEN)
    assert job.coordinator is job.coordinators[1]


def test_r5_a_third_that_fetched_finalises_by_time(world: World, job: Job) -> None:
    anchor = job.anchor()
    with refused("TooEarly"):
        job.by_time(anchor)
    world.wait(job.terms.window)
    event = job.by_time(anchor, [2]).one("RoundFinalised")
    assert (event.byTime, event.seats) == (True, 0b100)


def test_r5_a_bonded_challenge_stops_finality_by_time(world: World, job: Job) -> None:
    anchor = job.anchor()
    job.challenge(anchor)
    world.wait(job.terms.window)
    with refused("WrongRoundPhase", job.id, CHALLENGED):
        job.by_time(anchor, [0, 1, 2])


def test_an_anchor_lapses_after_two_windows(world: World, job: Job) -> None:
    anchor = job.anchor()
    world.wait(2 * job.terms.window - 1)
    with refused("TooEarly"):
        world.ledger.lapse(anchor)
    world.wait(1)
    world.ledger.lapse(anchor)
    with refused("WrongRoundPhase", job.id, OPEN):
        world.ledger.lapse(anchor)


def test_finality_is_possible_until_somebody_lets_the_anchor_lapse(world: World, job: Job) -> None:
    anchor = job.anchor()
    world.wait(5 * job.terms.window)
    job.finalise(anchor)


def test_a_challenge_takes_the_bond(world: World, job: Job) -> None:
    anchor, owed = job.anchor(), world.ledger.owed()
    challenger = job.challenge(anchor)
    assert world.ledger.owed() - owed == job.terms.challengeBond
    assert world.token.balanceOf(challenger.address) == 0
    with refused("WrongRoundPhase", job.id, CHALLENGED):
        job.challenge(anchor)


def test_a_challenge_comes_before_the_window_ends(world: World, job: Job) -> None:
    anchor = job.anchor()
    world.wait(job.terms.window)
    with refused("TooLate"):
        job.challenge(anchor)


def test_a_lost_challenge_pays_half_the_bond_to_the_coordinator(world: World, job: Job) -> None:
    anchor, supply = job.anchor(), world.token.totalSupply()
    job.challenge(anchor)
    job.finalise(anchor)
    half = job.terms.challengeBond // 2
    assert world.ledger.credit(job.coordinators[0].address) == half
    assert supply - world.token.totalSupply() == job.terms.challengeBond - half
    before = world.token.balanceOf(job.coordinators[0].address)
    world.collect(world.ledger, job.coordinators[0])
    assert world.token.balanceOf(job.coordinators[0].address) == before + half
    assert world.ledger.owed() == 0


def test_r7_an_unproven_challenge_voids_the_round_and_slashes_nobody(world: World, job: Job) -> None:
    anchor = job.anchor()
    challenger = job.challenge(anchor)
    world.wait(job.terms.window - 1)
    with refused("TooEarly"):
        world.ledger.voidRound(anchor)
    world.wait(1)
    world.ledger.voidRound(anchor)
    assert world.ledger.credit(challenger.address) == job.terms.challengeBond
    assert staked(world, job.coordinators[0]) == 1_000
    assert (job.state.attempt, job.state.roundPhase, job.coordinator) == (1, OPEN, job.coordinators[1])


def test_only_a_challenged_round_is_voided(world: World, job: Job) -> None:
    anchor = job.anchor()
    world.wait(3 * job.terms.window)
    with refused("WrongRoundPhase", job.id, ANCHORED):
        world.ledger.voidRound(anchor)


def test_r7_two_thirds_naming_another_digest_slash_the_coordinator(world: World, job: Job) -> None:
    anchor, supply = job.anchor(), world.token.totalSupply()
    finder = Account("finder")
    job.condemn(anchor, [1, 2], sender=finder.address)
    assert staked(world, job.coordinators[0]) == 900
    assert world.vault.credit(job.client.address) == 40 * UNIT
    # Nobody challenged, and whoever sends the call may be the liar: the finder's share burns.
    assert world.vault.credit(finder.address) == 0
    assert supply - world.token.totalSupply() == 60 * UNIT
    assert (job.state.round, job.state.attempt, job.coordinator) == (1, 1, job.coordinators[1])


def test_a_condemned_coordinator_never_returns(world: World, job: Job) -> None:
    job.condemn(job.anchor())
    world.wait(job.terms.patience)
    with refused("NotCoordinator", job.coordinators[0].address):
        world.ledger.takeover(job.id, sender=job.coordinators[0].address)


def test_a_right_challenger_gets_bond_and_finder_s_share(world: World, job: Job) -> None:
    anchor = job.anchor()
    challenger = job.challenge(anchor)
    job.condemn(anchor)
    assert world.ledger.credit(challenger.address) == job.terms.challengeBond
    assert world.vault.credit(challenger.address) == 20 * UNIT


def test_condemning_needs_two_thirds_on_one_digest(world: World, job: Job) -> None:
    anchor = job.anchor()
    with refused("TooFewVerdicts", 1, 3):
        job.condemn(anchor, [0])
    split = [job.sign(0, anchor, WRONG, digest("a")), job.sign(1, anchor, WRONG, digest("b"))]
    with refused("BadSignature", 1, job.verifiers[1].address):
        world.ledger.condemn(anchor, digest("a"), [0, 1], split)
    with refused("UnknownAnchor"):
        job.condemn(anchor, right=anchor.digest)


def test_r7_later_proof_reverses_a_final_round_and_all_after_it(world: World, job: Job) -> None:
    first, second = job.play(2)
    third = job.anchor()
    challenger = job.challenge(third)
    job.condemn(first)
    state = job.state
    assert (state.round, state.attempt, state.roundPhase, state.model) == (1, 1, OPEN, job.terms.genesis)
    assert world.ledger.credit(challenger.address) == job.terms.challengeBond
    with refused("UnknownAnchor"):
        job.condemn(second)
    with refused("WrongRoundPhase"):
        job.finalise(third)
    again = job.play(2)
    assert [anchor.attempt for anchor in again] == [1, 1]
    assert job.draft().attempt == 1


def test_a_final_round_stands_from_its_window_end_on(world: World, job: Job) -> None:
    first = job.play(1)[0]
    world.wait(job.terms.window)
    with refused("TooLate"):
        job.condemn(first)


def test_a_round_undone_after_a_takeover_stays_with_who_took_over(world: World) -> None:
    job = Job(world, Terms(patience=3600), coordinators=3).running()
    first = job.play(1)[0]
    world.wait(3600)
    world.ledger.takeover(job.id, sender=job.coordinators[2].address)
    job.condemn(first)
    assert (job.state.round, job.coordinator) == (1, job.coordinators[2])
    assert staked(world, job.coordinators[0]) == 900  # a tenth for lateness, and the rest of its lock


def test_r15_a_late_coordinator_is_taken_over_and_pays_a_tenth(world: World, job: Job) -> None:
    standby = job.coordinators[1]
    world.wait(job.terms.patience - 1)
    with refused("TooEarly"):
        world.ledger.takeover(job.id, sender=standby.address)
    world.wait(1)
    event = world.ledger.takeover(job.id, sender=standby.address).one("CoordinatorReplaced")
    assert (event.previous, event.next) == (job.coordinators[0].address, standby.address)
    assert staked(world, job.coordinators[0]) == 990
    assert world.vault.credit(job.client.address) == 4 * UNIT
    assert world.vault.credit(standby.address) == 0  # the finder's share of lateness burns (R15)
    assert (job.state.attempt, job.coordinator) == (0, standby)
    with refused("NotCoordinator"):
        world.ledger.anchor(job.draft(), sender=job.coordinators[0].address)
    job.anchor()


def test_only_another_coordinator_takes_over(world: World, job: Job) -> None:
    world.wait(job.terms.patience)
    for other in (job.coordinators[0], job.trainers[0], job.client):
        with refused("NotCoordinator", other.address):
            world.ledger.takeover(job.id, sender=other.address)


def test_nobody_takes_over_an_anchored_round(world: World, job: Job) -> None:
    job.anchor()
    world.wait(job.terms.patience)
    with refused("WrongRoundPhase", job.id, ANCHORED):
        world.ledger.takeover(job.id, sender=job.coordinators[1].address)


def test_a_late_coordinator_may_still_anchor_while_nobody_took_over(world: World, job: Job) -> None:
    world.wait(3 * job.terms.patience)
    job.finalise(job.anchor())


def test_a_single_coordinator_reruns_its_own_lapsed_round(world: World) -> None:
    job = Job(world, coordinators=1).running()
    anchor = job.anchor()
    world.wait(2 * job.terms.window)
    world.ledger.lapse(anchor)
    assert job.coordinator is job.coordinators[0]
    anchor = job.anchor()
    world.wait(2 * job.terms.window)
    world.ledger.lapse(anchor)  # nothing is left of its stake: nobody coordinates any more
    assert job.state.coordinator == "0x" + "00" * 20
    with refused("NotCoordinator"):
        world.ledger.anchor(job.draft(), sender=job.coordinators[0].address)
    world.go_to(job.terms.deadline)
    world.ledger.expire(job.id)
    assert world.market.credit(job.client.address) == 2 * job.budget


def test_r5_a_trainer_without_a_receipt_registers_its_update(world: World, job: Job) -> None:
    trainer = job.trainers[2]
    event = world.ledger.registerUpdate(job.id, 1, digest("u"), sender=trainer.address).one("UpdateRegistered")
    assert (event.round, event.attempt, event.trainer, event.update, event.time) == (1, 0, trainer.address, digest("u"), world.time())
    with refused("AlreadyRegistered"):
        world.ledger.registerUpdate(job.id, 1, digest("u"), sender=trainer.address)


def test_registration_is_for_trainers_of_the_open_round(world: World, job: Job) -> None:
    trainer = job.trainers[0].address
    with refused("NotTrainer"):
        world.ledger.registerUpdate(job.id, 1, digest("u"), sender=job.coordinators[0].address)
    with refused("WrongRound"):
        world.ledger.registerUpdate(job.id, 2, digest("u"), sender=trainer)
    with refused("EmptyDigest"):
        world.ledger.registerUpdate(job.id, 1, bytes(32), sender=trainer)
    job.anchor()
    with refused("WrongRoundPhase"):
        world.ledger.registerUpdate(job.id, 1, digest("u"), sender=trainer)


def test_the_last_round_is_the_last(world: World, job: Job) -> None:
    job.play(4)
    with refused("AllRoundsDone", job.id):
        world.ledger.anchor(job.draft(), sender=job.coordinators[0].address)
    with refused("AllRoundsDone", job.id):
        world.ledger.takeover(job.id, sender=job.coordinators[1].address)


def test_the_deadlines_view_follows_the_phase(world: World, job: Job) -> None:
    now, terms = world.time(), job.terms
    assert world.ledger.deadlines(job.id) == (now + terms.patience, 0, 0, 0)
    anchor = job.anchor()
    assert world.ledger.deadlines(job.id) == (0, now + terms.window, now + 2 * terms.window, 0)
    job.challenge(anchor)
    assert world.ledger.deadlines(job.id) == (0, 0, 0, now + terms.window)
    assert world.ledger.deadlines(10**6) == (0, 0, 0, 0)


def test_r16_an_outage_extends_the_open_window(world: World, job: Job) -> None:
    anchor = job.anchor()
    world.wait(job.terms.window - 10)
    world.evm.pass_time(30 * 86_400)  # nobody could tick: the chain was down
    job.challenge(anchor)
    assert job.state.roundPhase == CHALLENGED


def test_r16_equal_timestamps_are_accepted(world: World, job: Job) -> None:
    at = world.time()
    job.finalise(job.anchor())
    job.finalise(job.anchor())
    assert (world.time(), job.state.round) == (at, 3)
