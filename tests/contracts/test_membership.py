"""Trainers come and go while a job runs: from when each counts, what a leaver keeps, and how a deserted round goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.contracts import payout
from tests.contracts.abi import refused
from tests.contracts.test_settlement import NET, claim
from tests.contracts.world import COORDINATOR, TRAINER, UNIT, VERIFIER, Account, Anchor, Job, Terms, World, digest

ZERO = "0x" + "00" * 20


def come(job: Job, name: str = "newcomer") -> Account:
    account = job.world.join(name)
    job.enrol_one(account, TRAINER)
    return account


def leave(job: Job, *accounts: Account) -> None:
    for account in accounts:
        job.world.cohort.leaveJob(job.id, sender=account.address)


def part(job: Job) -> list[bool]:
    """Who of the first trainers takes part in what is open."""
    return [job.world.cohort.takesPart(job.id, one.address) for one in job.trainers]


def fits(job: Job, accepted: int) -> None:
    """So many updates are the most that an anchor may have now."""
    mark = job.world.evm.snapshot()
    with refused("WrongAccepted", accepted + 1, job.terms.quorum, accepted):
        job.anchor(accepted=accepted + 1)
    job.anchor(accepted=accepted)
    job.world.evm.revert(mark)


def lapse(job: Job, anchor: Anchor) -> None:
    job.world.wait(2 * job.terms.window)
    job.world.ledger.lapse(anchor)


def void(job: Job, anchor: Anchor) -> None:
    job.challenge(anchor)
    job.world.wait(job.terms.window)
    job.world.ledger.voidRound(anchor)


def condemn(job: Job, anchor: Anchor) -> None:
    job.condemn(anchor)


def finalise(job: Job, anchor: Anchor) -> None:
    job.finalise(anchor)


ENDS: list[Callable[[Job, Anchor], None]] = [finalise, lapse, void, condemn]


@pytest.mark.parametrize("ends", ENDS)
def test_a_newcomer_takes_part_from_the_next_opening_on(world: World, job: Job, ends: Callable[[Job, Anchor], None]) -> None:
    newcomer = world.join("newcomer")
    event = job.enrol_one(newcomer, TRAINER).one("Enrolled")
    assert (event.account, event.role) == (newcomer.address, TRAINER)
    lock = world.vault.locks(world.cohort, world.cohort.claimOf(job.id, newcomer.address))
    assert lock == (newcomer.address, job.terms.deadline + 4 * job.terms.window, 10 * UNIT)
    assert not world.cohort.takesPart(job.id, newcomer.address) and job.state.trainers == 4
    with refused("NotTrainer", newcomer.address):
        world.ledger.registerUpdate(job.id, 1, digest("u"), sender=newcomer.address)
    fits(job, 4)
    ends(job, job.anchor(accepted=4))
    assert world.cohort.takesPart(job.id, newcomer.address) and job.state.trainers == 5
    world.ledger.registerUpdate(job.id, job.state.round, digest("u"), sender=newcomer.address)
    fits(job, 5)


@pytest.mark.parametrize("ends", ENDS)
def test_a_leaver_takes_part_until_the_round_is_opened_again(world: World, job: Job, ends: Callable[[Job, Anchor], None]) -> None:
    leaver = job.trainers[1]
    receipt = world.cohort.leaveJob(job.id, sender=leaver.address)
    assert receipt.one("Left").account == leaver.address and receipt.one("MemberReleased").amount == 10 * UNIT
    assert part(job) == [True] * 4 and job.state.trainers == 4
    world.ledger.registerUpdate(job.id, 1, digest("u"), sender=leaver.address)
    fits(job, 4)
    ends(job, job.anchor(accepted=4))
    assert part(job) == [True, False, True, True] and job.state.trainers == 3
    with refused("NotTrainer", leaver.address):
        world.ledger.registerUpdate(job.id, job.state.round, digest("u"), sender=leaver.address)
    fits(job, 3)


def test_while_an_anchor_is_judged_nothing_of_it_changes(world: World, job: Job) -> None:
    anchor = job.anchor(accepted=4)
    newcomer = come(job)
    leave(job, job.trainers[0], job.trainers[1], job.trainers[2])
    assert part(job) == [True] * 4 and not world.cohort.takesPart(job.id, newcomer.address)
    job.finalise(anchor)
    assert part(job) == [False, False, False, True] and job.state.trainers == 2


def test_a_takeover_opens_nothing(world: World, job: Job) -> None:
    newcomer = come(job)
    leave(job, job.trainers[0])
    world.wait(job.terms.patience)
    world.ledger.takeover(job.id, sender=job.coordinators[1].address)
    assert part(job) == [True] * 4 and not world.cohort.takesPart(job.id, newcomer.address) and job.state.trainers == 4


def test_r7_a_round_that_later_proof_undid_goes_on_with_who_is_seated(world: World, job: Job) -> None:
    first, _ = job.play(2)
    leave(job, job.trainers[3])
    come(job, "one")
    come(job, "two")
    job.condemn(first)
    assert job.state.round == 1 and job.state.trainers == 5 and part(job) == [True, True, True, False]


def test_a_leaver_gets_its_stake_at_once_and_never_twice(world: World, job: Job) -> None:
    leaver = job.trainers[0]
    leave(job, leaver)
    assert (world.vault.locked(leaver.address), world.vault.staked(leaver.address)) == (0, 1_000 * UNIT)
    world.vault.thaw(1_000 * UNIT, sender=leaver.address)
    with refused("NotSeated", leaver.address):
        world.cohort.leaveJob(job.id, sender=leaver.address)
    with refused("StillBound", leaver.address):
        world.cohort.release(job.id, [leaver.address])
    world.go_to(job.terms.deadline)
    world.ledger.expire(job.id)
    assert world.cohort.release(job.id, [leaver.address]).one("MemberReleased").amount == 0
    assert world.vault.freeOf(leaver.address) == 0


def test_a_seat_that_a_leaver_gave_up_is_free_for_one_other(world: World) -> None:
    job = Job(world, Terms(maxTrainers=4)).running()
    late = world.join("late")
    with refused("RoleFull", TRAINER, 4):
        job.enrol_one(late, TRAINER)
    leave(job, job.trainers[2])
    job.enrol_one(late, TRAINER)
    with refused("RoleFull", TRAINER, 4):
        come(job)
    job.play(1)
    assert job.state.trainers == 4 and world.cohort.attendance(job.id) == (4, 0)


def test_who_left_does_not_come_back(world: World, job: Job) -> None:
    leave(job, job.trainers[0])
    job.play(1)
    with refused("AlreadyEnrolled", job.trainers[0].address, TRAINER):
        job.enrol_one(job.trainers[0], TRAINER)


def test_who_comes_and_leaves_before_its_first_round_was_never_there(world: World, job: Job) -> None:
    newcomer = come(job)
    leave(job, newcomer)
    assert world.vault.locked(newcomer.address) == 0
    assert world.cohort.attendance(job.id) == (4, 0)
    job.play(1)
    assert not world.cohort.takesPart(job.id, newcomer.address) and job.state.trainers == 4


def test_trainers_come_as_long_as_a_whole_patience_is_left(world: World, job: Job) -> None:
    until = job.terms.deadline - job.terms.patience
    late = world.join("late")
    world.go_to(until - 1)
    come(job)
    world.wait(1)
    with refused("TooLate", until, until):
        job.enrol_one(late, TRAINER)


def test_coordinators_and_verifiers_stay_as_they_are(world: World, job: Job) -> None:
    helper = world.join("helper")
    for role in (COORDINATOR, VERIFIER):
        with refused("WrongPhase", job.id, 2):
            job.enrol_one(helper, role)
    for one in (job.coordinators[0], job.candidates[0], helper):
        with refused("NotSeated", one.address):
            world.cohort.leaveJob(job.id, sender=one.address)


def test_a_seat_binds_while_others_still_enrol_and_nobody_leaves_what_has_ended(world: World) -> None:
    job = Job(world).enrol()
    with refused("WrongPhase", job.id, 1):
        leave(job, job.trainers[0])
    job.start()
    world.go_to(job.terms.deadline)
    world.ledger.expire(job.id)
    with refused("WrongPhase", job.id, 3):
        leave(job, job.trainers[0])
    with refused("WrongPhase", job.id, 3):
        come(job)


def test_a_newcomer_needs_role_consent_and_stake_as_anyone(world: World, job: Job) -> None:
    with refused("RoleRefused"):
        job.enrol_one(world.join("other", roles=4), TRAINER)
    with refused("InsufficientFree"):
        job.enrol_one(world.join("poor", stake=9 * UNIT), TRAINER)
    with refused("CommitmentMismatch"):
        world.cohort.enrol(job.id, TRAINER, digest("x"), sender=world.join("odd").address)


def test_r18_an_operator_leaves_for_its_account(world: World, job: Job) -> None:
    owner, key = job.trainers[0], Account("hot key")
    world.registry.setOperator(key.address, sender=owner.address)
    world.registry.acceptOperator(owner.address, sender=key.address)
    world.cohort.leaveJob(job.id, sender=key.address)
    assert world.vault.locked(owner.address) == 0


def test_a_leaver_is_paid_for_what_it_delivered_and_nothing_after(world: World) -> None:
    job = Job(world, Terms(rounds=2, milestones=1)).running()
    leaver, newcomer = job.trainers[0], world.join("newcomer")
    before, after = list(job.trainers), [*job.trainers[1:], newcomer]
    rounds = [
        payout.Earned(job.coordinators[0].address, tuple(one.address for one in each), tuple(one.address for one in job.verifiers[:2]))
        for each in (before, after)
    ]
    totals, fees = payout.of_rounds([NET], 2, (1000, 1500), rounds)
    leave(job, leaver)
    job.enrol_one(newcomer, TRAINER)
    job.finalise(job.anchor(accepted=4, credits=payout.Credits(job.id, payout.of_rounds([NET], 2, (1000, 1500), rounds[:1])[0]).root))
    credits = payout.Credits(job.id, totals)
    job.finalise(job.anchor(accepted=4, credits=credits.root))
    job.settle(0)
    paid = {one: claim(job, credits, one) for one in {*before, *after, job.coordinators[0]}}
    assert paid[leaver] == paid[newcomer] > 0 and paid[job.trainers[1]] == 2 * paid[leaver]
    fee = sum(world.ledger.claimFee(job.id, 0, one.address).one("FeeClaimed").amount for one in job.verifiers[:2])
    assert sum(paid.values()) + fee == NET and fee == sum(fees[0].values()) and world.ledger.owed() == 0


def test_a_round_opened_with_too_few_is_regrouped_as_soon_as_a_quorum_is_seated(world: World, job: Job) -> None:
    leave(job, *job.trainers[:3])
    job.play(1)
    assert job.state.trainers == 1
    with refused("WrongAccepted", 2, 2, 1):
        job.anchor(accepted=2)
    with refused("TooFewTrainers", 1, 2):
        world.ledger.regroup(job.id)
    newcomer = come(job)
    opened = world.ledger.regroup(job.id).one("RoundOpened")
    assert (opened.round, opened.attempt, opened.coordinator, opened.openedAt) == (2, 1, job.coordinators[0].address, world.time())
    assert world.cohort.takesPart(job.id, newcomer.address) and job.state.trainers == 2
    with refused("EnoughTrainers", 2, 2):
        world.ledger.regroup(job.id)
    job.finalise(job.anchor(accepted=2))


def test_a_round_that_its_trainers_left_keeps_its_patience_for_what_they_delivered(world: World, job: Job) -> None:
    leave(job, *job.trainers[:3])
    come(job)
    with refused("TooEarly"):
        world.ledger.regroup(job.id)
    mark = world.evm.snapshot()
    job.finalise(job.anchor(accepted=4))  # all of them had delivered
    world.evm.revert(mark)
    world.wait(job.terms.patience - 1)
    with refused("TooEarly"):
        world.ledger.regroup(job.id)
    world.wait(1)
    world.ledger.regroup(job.id)
    assert (job.state.round, job.state.attempt, job.state.trainers) == (1, 1, 2)


def test_only_an_open_round_before_the_deadline_is_regrouped(world: World, job: Job) -> None:
    with refused("EnoughTrainers", 4, 2):
        world.ledger.regroup(job.id)
    anchor = job.anchor()
    leave(job, *job.trainers[:3])
    come(job)
    with refused("WrongRoundPhase", job.id, 1):
        world.ledger.regroup(job.id)
    job.finalise(anchor)
    leave(job, job.trainers[3])
    come(job, "other")
    world.go_to(job.terms.deadline)
    with refused("TooLate"):
        world.ledger.regroup(job.id)


def test_nobody_is_late_in_a_deserted_round(world: World, job: Job) -> None:
    leave(job, *job.trainers[:3])
    world.wait(job.terms.patience)
    event = world.ledger.takeover(job.id, sender=job.coordinators[1].address).one("CoordinatorReplaced")
    assert event.next == job.coordinators[1].address
    assert world.vault.staked(job.coordinators[0].address) == 1_000 * UNIT
    job.finalise(job.anchor(accepted=2))  # what the leavers had delivered still counts


def test_a_deserted_round_with_enough_seated_is_regrouped_and_not_taken_over(world: World, job: Job) -> None:
    leave(job, *job.trainers[:3])
    come(job)
    world.wait(job.terms.patience)
    with refused("EnoughTrainers", 2, 2):
        world.ledger.takeover(job.id, sender=job.coordinators[1].address)
    world.ledger.regroup(job.id)
    world.wait(job.terms.patience)
    world.ledger.takeover(job.id, sender=job.coordinators[1].address)
    assert world.vault.staked(job.coordinators[0].address) == 990 * UNIT


def test_lateness_costs_as_long_as_a_quorum_of_the_rounds_trainers_is_seated(world: World, job: Job) -> None:
    leave(job, *job.trainers[:2])
    world.wait(job.terms.patience)
    world.ledger.takeover(job.id, sender=job.coordinators[1].address)
    assert world.vault.staked(job.coordinators[0].address) == 990 * UNIT


def test_silence_all_trainers_leave(world: World, job: Job) -> None:
    job.play(2)
    job.settle(0)
    leave(job, *job.trainers)
    world.go_to(job.terms.deadline)
    world.ledger.expire(job.id)
    assert world.market.credit(job.client.address) == job.budget
    everyone = [one.address for one in (*job.trainers, *job.coordinators, *job.candidates)]
    world.cohort.release(job.id, everyone)
    assert all(world.vault.locked(one) == 0 and world.vault.staked(one) == 1_000 * UNIT for one in everyone)


def test_an_attempt_number_of_a_round_is_never_used_again(world: World, job: Job) -> None:
    first, trainer = job.play(1)[0], job.trainers[0].address
    early = job.draft()
    assert (early.round, early.attempt) == (2, 0)
    world.ledger.registerUpdate(job.id, 2, digest("u"), sender=trainer)
    job.condemn(first)  # the second round was opened and never anchored
    job.play(1)
    assert (job.state.round, job.state.attempt) == (2, 1)
    with refused("WrongRound", 2, 0, 2, 1):
        world.ledger.anchor(replace(early, base=job.state.model), sender=job.coordinator.address)
    world.ledger.registerUpdate(job.id, 2, digest("u"), sender=trainer)  # what was registered before the undo counts no more
    job.finalise(job.anchor())
    assert world.ledger.roundOf(job.id, 2).openings == 2


def test_only_the_ledger_musters(world: World, job: Job) -> None:
    with refused("NotLedger", job.client.address):
        world.cohort.muster(job.id, sender=job.client.address)
