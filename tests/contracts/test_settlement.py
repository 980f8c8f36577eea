"""Milestones become payouts, payouts become claims, the rest is refunded (R6)."""

from __future__ import annotations

from tests.contracts import payout
from tests.contracts.abi import refused
from tests.contracts.world import UNIT, Account, Job, Terms, World, digest

NET = 1_000 * UNIT - 30 * UNIT


def earn(job: Job, rounds: int, seats: tuple[int, ...] = (0, 1), trainers: int | None = None) -> list[payout.Earned]:
    addresses = tuple(one.address for one in job.trainers[:trainers])
    return [payout.Earned(job.coordinators[0].address, addresses, tuple(job.verifiers[seat].address for seat in seats))] * rounds


def play(job: Job, rounds: int, net: int = NET, seats: tuple[int, ...] = (0, 1)) -> tuple[payout.Credits, list[dict[str, int]]]:
    """Plays rounds whose last anchor carries the root the money rule demands."""
    span, bps = job.terms.rounds // job.terms.milestones, (job.terms.coordinatorBps, job.terms.verifierBps)
    totals: dict[str, int] = {}
    for n in range(1, rounds + 1):
        totals, fees = payout.of_rounds([net] * job.terms.milestones, span, bps, earn(job, n, seats))
        job.finalise(job.anchor(credits=payout.Credits(job.id, totals).root), seats)
    return payout.Credits(job.id, totals), fees


def claim(job: Job, credits: payout.Credits, account: Account) -> int:
    total, proof = credits.proof(account.address)
    return int(job.world.ledger.claim(job.id, account.address, total, proof).one("Claimed").amount)


def test_r6_a_milestone_is_paid_after_its_last_window(world: World, job: Job) -> None:
    job.play(2)
    firm = world.ledger.firmFrom(job.id, 0)
    assert firm == world.ledger.roundOf(job.id, 2).anchoredAt + job.terms.window
    world.go_to(firm - 1)
    with refused("TooEarly", firm - 1, firm):
        world.ledger.settle(job.id, 0)
    world.wait(1)
    event = world.ledger.settle(job.id, 0).one("MilestoneSettled")
    assert event.net == NET
    assert event.verifierFees == 2 * (NET // 2 * 1500 // 10_000)
    assert world.market.credit(world.treasury.address) == 15 * UNIT
    assert world.ledger.owed() == NET == world.token.balanceOf(world.ledger.address)
    assert world.market.getJob(job.id).status == 3


def test_milestones_are_settled_in_order_and_once(world: World, job: Job) -> None:
    with refused("MilestoneNotFinal", job.id, 0):
        world.ledger.settle(job.id, 0)
    job.play(4)
    world.wait(job.terms.window)
    with refused("WrongMilestone", 1, 0):
        world.ledger.settle(job.id, 1)
    world.ledger.settle(job.id, 0)
    with refused("WrongMilestone", 0, 1):
        world.ledger.settle(job.id, 0)
    world.ledger.settle(job.id, 1)
    with refused("WrongMilestone", 2, 2):
        world.ledger.settle(job.id, 2)


def test_everybody_is_paid_to_the_last_unit(world: World, job: Job) -> None:
    credits, fees = play(job, 4)
    for milestone in (0, 1):
        job.settle(milestone)
    paid = sum(claim(job, credits, one) for one in (*job.trainers, job.coordinators[0]))
    for milestone in (0, 1):
        for seat in (0, 1):
            address = job.verifiers[seat].address
            amount = world.ledger.claimFee(job.id, milestone, address).one("FeeClaimed").amount
            assert amount == fees[milestone][address]
            paid += amount
    assert paid == 2 * NET
    assert world.ledger.owed() == 0 == world.token.balanceOf(world.ledger.address)


def test_odd_amounts_leave_no_dust(world: World) -> None:
    job = Job(world, Terms(rounds=3, milestones=1), budget=1_000_003, trainers=3).running()
    net = world.market.netOf(1_000_003)
    credits, fees = play(job, 3, net, (0, 1, 2))
    job.settle(0)
    paid = sum(claim(job, credits, one) for one in (*job.trainers, job.coordinators[0]))
    paid += sum(world.ledger.claimFee(job.id, 0, one.address).one("FeeClaimed").amount for one in job.verifiers)
    assert paid == net
    assert sum(fees[0].values()) + sum(credits.totals.values()) == net
    assert world.ledger.owed() == 0


def test_a_claim_is_cumulative(world: World, job: Job) -> None:
    first, _ = play(job, 2)
    job.settle(0)
    trainer = job.trainers[0]
    got = claim(job, first, trainer)
    with refused("NothingToClaim", trainer.address):
        claim(job, first, trainer)
    assert got == world.ledger.paidTo(job.id, trainer.address)
    with refused("BadProof"):
        world.ledger.claim(job.id, trainer.address, got + 1, first.proof(trainer.address)[1])


def test_r6_a_root_counts_only_once_its_milestone_is_settled(world: World, job: Job) -> None:
    credits, _ = play(job, 2)
    with refused("BadProof"):
        claim(job, credits, job.trainers[0])


def test_r6_claims_are_capped_by_the_accrual(world: World, job: Job) -> None:
    trainer = job.trainers[0].address
    greedy = payout.Credits(job.id, {trainer: 2 * NET, job.trainers[1].address: 1})
    job.play(1)
    job.finalise(job.anchor(credits=greedy.root))
    job.settle(0)
    with refused("AccrualExceeded", 2 * NET, job.state.accrued):
        claim(job, greedy, job.trainers[0])
    assert claim(job, greedy, job.trainers[1]) == 1


def test_a_fee_is_for_seats_that_were_named(world: World, job: Job) -> None:
    play(job, 2)
    named, absent = job.verifiers[0].address, job.verifiers[2].address
    with refused("MilestoneUnsettled", job.id, 0):
        world.ledger.claimFee(job.id, 0, named)
    job.settle(0)
    with refused("NothingToClaim", absent):
        world.ledger.claimFee(job.id, 0, absent)
    with refused("NotSeated"):
        world.ledger.claimFee(job.id, 0, job.trainers[0].address)
    world.ledger.claimFee(job.id, 0, named)
    with refused("NothingToClaim", named):
        world.ledger.claimFee(job.id, 0, named)


def test_anyone_triggers_a_claim_and_the_account_is_paid(world: World, job: Job) -> None:
    credits, _ = play(job, 2)
    job.settle(0)
    trainer, before = job.trainers[0], world.token.balanceOf(job.trainers[0].address)
    total, proof = credits.proof(trainer.address)
    world.ledger.claim(job.id, trainer.address, total, proof, sender=Account("stranger").address)
    assert world.token.balanceOf(trainer.address) == before + total


def test_r7_a_condemned_milestone_is_not_settled_before_its_rerun(world: World, job: Job) -> None:
    _, second = job.play(2)
    job.condemn(second)
    with refused("MilestoneNotFinal"):
        world.ledger.firmFrom(job.id, 0)
    rerun = job.play(1)[0]
    assert job.settle(0).one("MilestoneSettled").model == rerun.model


def test_a_finished_job_closes_and_frees_everyone(world: World, job: Job) -> None:
    job.play(4)
    job.settle(0)
    with refused("MilestoneUnsettled", job.id, 1):
        world.ledger.close(job.id)
    job.settle(1)
    assert world.ledger.close(job.id).one("JobClosed").reason == 1
    everyone = [one.address for one in (*job.trainers, *job.coordinators, *job.candidates)]
    world.cohort.release(job.id, everyone)
    assert all(world.vault.locked(one) == 0 for one in everyone)


def test_claims_outlive_the_job(world: World, job: Job) -> None:
    credits, _ = play(job, 4)
    job.settle(0)
    job.settle(1)
    world.ledger.close(job.id)
    world.wait(100 * 86_400)
    assert claim(job, credits, job.trainers[0]) > 0
    world.ledger.claimFee(job.id, 0, job.verifiers[0].address)


def test_an_unfinished_job_expires_and_refunds_the_rest(world: World, job: Job) -> None:
    job.play(3)
    job.settle(0)
    with refused("TooEarly"):
        world.ledger.expire(job.id)
    world.go_to(job.terms.deadline)
    assert world.ledger.expire(job.id).one("JobClosed").reason == 2
    assert world.market.credit(job.client.address) == job.budget
    with refused("WrongPhase"):
        world.ledger.expire(job.id)
    world.collect(world.market, job.client)


def test_delivered_work_is_paid_before_a_job_expires(world: World, job: Job) -> None:
    job.play(2)
    world.go_to(job.terms.deadline)
    with refused("MilestoneUnsettled", job.id, 0):
        world.ledger.expire(job.id)
    job.settle(0)
    world.ledger.expire(job.id)
    assert world.market.credit(job.client.address) == job.budget


def test_an_anchor_under_judgement_is_decided_before_a_job_expires(world: World, job: Job) -> None:
    world.go_to(job.terms.deadline - 1)
    anchor = job.anchor()
    world.wait(1)
    with refused("WrongRoundPhase"):
        world.ledger.expire(job.id)
    world.wait(2 * job.terms.window)
    world.ledger.lapse(anchor)
    world.ledger.expire(job.id)


def test_a_milestone_that_nobody_settled_in_time_is_refunded(world: World, job: Job) -> None:
    job.play(2)
    world.go_to(job.terms.deadline + 4 * job.terms.window)
    world.market.claimRefund(job.id)
    with refused("WrongStatus"):
        world.ledger.settle(job.id, 0)
    world.ledger.expire(job.id)
    assert world.market.credit(job.client.address) == 2 * job.budget


def test_a_settled_job_does_not_expire(world: World, job: Job) -> None:
    job.play(4)
    job.settle(0)
    job.settle(1)
    world.go_to(job.terms.deadline)
    with refused("WrongMilestone", 2, 2):
        world.ledger.expire(job.id)


def test_locks_end_even_if_everyone_is_silent(world: World, job: Job) -> None:
    trainer = job.trainers[0].address
    claim_name = world.cohort.claimOf(job.id, trainer)
    world.go_to(job.terms.deadline + 4 * job.terms.window)
    world.vault.releaseExpired(world.cohort, claim_name)
    assert world.vault.locked(trainer) == 0


def test_a_round_without_fees_pays_trainers_and_coordinator_only(world: World) -> None:
    job = Job(world, Terms(verifierBps=0, rounds=2, milestones=1)).running()
    job.play(2)
    assert job.settle(0).one("MilestoneSettled").verifierFees == 0
    assert job.state.accrued == NET
    with refused("NothingToClaim"):
        world.ledger.claimFee(job.id, 0, job.verifiers[0].address)


def test_a_stranger_cannot_make_the_ledger_take_money_for_another_job(world: World, job: Job) -> None:
    with refused("BadProof"):
        world.ledger.claim(10**6, job.trainers[0].address, 1, [digest("x")])
    with refused("WrongPhase"):
        world.ledger.settle(10**6, 0)
