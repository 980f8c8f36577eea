"""JobMarket: the ERC-8183 kernel, its escrow and its silences."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.abi import refused
from tests.contracts.world import UNIT, Account, World, digest

ZERO = "0x" + "00" * 20
OPEN, FUNDED, SUBMITTED, COMPLETED, REJECTED, EXPIRED = range(6)
BUDGET = 1_001


class Deal:
    """One kernel job and its three parties."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client, self.provider, self.evaluator = Account("client"), Account("provider"), Account("evaluator")
        world.fund(self.client, 10**6)
        self.expiry = world.time() + 1_000
        receipt = world.market.createJob(
            self.provider.address, self.evaluator.address, self.expiry, "spec", ZERO, sender=self.client.address
        )
        self.created, self.id = receipt, receipt.value

    def funded(self) -> Deal:
        self.world.market.setBudget(self.id, BUDGET, b"", sender=self.client.address)
        self.world.market.fund(self.id, BUDGET, b"", sender=self.client.address)
        return self

    def submitted(self) -> Deal:
        self.funded()
        self.world.market.submit(self.id, digest("work"), b"", sender=self.provider.address)
        return self

    def act(self, name: str, who: Account, *args: Any) -> Any:
        return getattr(self.world.market, name)(self.id, *args, sender=who.address)

    @property
    def status(self) -> int:
        return int(self.world.market.getJob(self.id).status)


@pytest.fixture
def deal(world: World) -> Deal:
    return Deal(world)


def test_creation_is_announced(deal: Deal) -> None:
    event = deal.created.one("JobCreated")
    assert (event.jobId, event.client, event.provider) == (deal.id, deal.client.address, deal.provider.address)
    assert deal.world.market.getJob(deal.id).description == "spec"
    assert deal.status == OPEN


def test_completion_pays_ninety_seven_percent_and_splits_the_fee(deal: Deal) -> None:
    world, supply = deal.world, deal.world.token.totalSupply()
    deal.submitted()
    receipt = deal.act("complete", deal.evaluator, digest("good"), b"")
    fee = BUDGET * 300 // 10_000
    assert receipt.one("PaymentReleased").amount == BUDGET - fee == world.market.credit(deal.provider.address)
    assert world.market.credit(world.treasury.address) == fee - fee // 2
    assert supply - world.token.totalSupply() == fee // 2
    assert deal.status == COMPLETED
    world.collect(world.market, deal.provider)
    assert world.token.balanceOf(deal.provider.address) == BUDGET - fee


def test_the_budget_cannot_change_under_a_funding_client(deal: Deal) -> None:
    deal.act("setBudget", deal.client, BUDGET, b"")
    deal.act("setBudget", deal.provider, BUDGET + 1, b"")
    with refused("BudgetMismatch", deal.id, BUDGET + 1, BUDGET):
        deal.act("fund", deal.client, BUDGET, b"")


def test_nobody_else_sets_the_budget(deal: Deal) -> None:
    with refused("NotAuthorised", deal.id, deal.evaluator.address):
        deal.act("setBudget", deal.evaluator, 1, b"")


def test_an_empty_budget_is_not_funded(deal: Deal) -> None:
    with refused("ZeroBudget", deal.id):
        deal.act("fund", deal.client, 0, b"")


def test_funding_needs_client_provider_and_time(world: World, deal: Deal) -> None:
    client = deal.client.address
    bare = world.market.createJob(ZERO, client, deal.expiry, "", ZERO, sender=client).value
    world.market.setBudget(bare, 5, b"", sender=client)
    with refused("ZeroAddress"):
        world.market.fund(bare, 5, b"", sender=client)
    world.market.setProvider(bare, deal.provider.address, b"", sender=client)
    with refused("ProviderAlreadySet"):
        world.market.setProvider(bare, client, b"", sender=client)
    with refused("NotAuthorised"):
        world.market.fund(bare, 5, b"", sender=deal.provider.address)
    world.go_to(deal.expiry)
    with refused("PastExpiry", bare, deal.expiry):
        world.market.fund(bare, 5, b"", sender=client)


def test_set_provider_is_the_client_s_and_not_zero(world: World, deal: Deal) -> None:
    client = deal.client.address
    bare = world.market.createJob(ZERO, client, deal.expiry, "", ZERO, sender=client).value
    with refused("NotAuthorised", bare, deal.provider.address):
        world.market.setProvider(bare, deal.provider.address, b"", sender=deal.provider.address)
    with refused("ZeroAddress"):
        world.market.setProvider(bare, ZERO, b"", sender=client)


def test_every_call_has_its_caller(deal: Deal) -> None:
    deal.funded()
    with refused("NotAuthorised"):
        deal.act("submit", deal.client, digest("work"), b"")
    with refused("NotAuthorised"):
        deal.act("reject", deal.client, bytes(32), b"")
    deal.act("submit", deal.provider, digest("work"), b"")
    with refused("NotAuthorised"):
        deal.act("complete", deal.client, bytes(32), b"")
    with refused("NotAuthorised"):
        deal.act("complete", deal.provider, bytes(32), b"")


def test_no_step_is_skipped(deal: Deal) -> None:
    with refused("WrongStatus", deal.id, OPEN):
        deal.act("submit", deal.provider, digest("work"), b"")
    deal.funded()
    with refused("WrongStatus", deal.id, FUNDED):
        deal.act("complete", deal.evaluator, bytes(32), b"")
    with refused("WrongStatus", deal.id, FUNDED):
        deal.act("fund", deal.client, BUDGET, b"")


@pytest.mark.parametrize("stage", ["funded", "submitted"])
def test_rejection_refunds_the_whole_budget(deal: Deal, stage: str) -> None:
    getattr(deal, stage)()
    receipt = deal.act("reject", deal.evaluator, digest("bad"), b"")
    assert receipt.one("Refunded").amount == BUDGET == deal.world.market.credit(deal.client.address)
    assert deal.status == REJECTED
    with refused("WrongStatus", deal.id, REJECTED):
        deal.act("reject", deal.evaluator, digest("bad"), b"")


def test_the_client_drops_an_open_job(deal: Deal) -> None:
    with refused("NotAuthorised"):
        deal.act("reject", deal.evaluator, bytes(32), b"")
    deal.act("reject", deal.client, bytes(32), b"")
    assert deal.status == REJECTED
    assert deal.world.market.credit(deal.client.address) == 0


def test_silence_of_the_provider_refunds(deal: Deal) -> None:
    deal.funded()
    deal.world.go_to(deal.expiry - 1)
    with refused("BeforeExpiry", deal.id, deal.expiry):
        deal.world.market.claimRefund(deal.id)
    deal.world.wait(1)
    with refused("PastExpiry", deal.id, deal.expiry):
        deal.act("submit", deal.provider, digest("late"), b"")
    deal.world.market.claimRefund(deal.id)
    assert deal.status == EXPIRED
    assert deal.world.market.credit(deal.client.address) == BUDGET


def test_silence_of_the_evaluator_pays_delivered_work(deal: Deal) -> None:
    deal.submitted()
    with refused("BeforeExpiry", deal.id, deal.expiry):
        deal.world.market.finalize(deal.id)
    deal.world.go_to(deal.expiry)
    with refused("WrongStatus", deal.id, SUBMITTED):
        deal.world.market.claimRefund(deal.id)
    deal.world.market.finalize(deal.id)
    assert deal.status == COMPLETED
    assert deal.world.market.credit(deal.provider.address) == BUDGET - BUDGET * 300 // 10_000


def test_finalize_is_for_submitted_jobs(deal: Deal) -> None:
    deal.funded().world.go_to(deal.expiry)
    with refused("WrongStatus", deal.id, FUNDED):
        deal.world.market.finalize(deal.id)


def test_a_batch_is_created_and_funded_at_once(world: World, deal: Deal) -> None:
    owed = world.market.owed()
    names, budgets = ["a", "b", "c"], [5, 6, 7]
    parties = (deal.provider.address, deal.evaluator.address)
    first = world.market.createFunded(*parties, deal.expiry, names, budgets, sender=deal.client.address).value
    assert [world.market.getJob(first + i).budget for i in range(3)] == budgets
    assert [world.market.getJob(first + i).description for i in range(3)] == names
    assert world.market.owed() == owed + 18
    assert world.market.count() == first + 2


@pytest.mark.parametrize(
    ("names", "budgets", "error"),
    [([], [], "BatchOutOfBounds"), (["x"] * 17, [1] * 17, "BatchOutOfBounds"), (["x"], [1, 2], "BatchLengths"), (["x"], [0], "ZeroBudget")],
)
def test_a_bad_batch_is_refused_whole(world: World, deal: Deal, names: list[str], budgets: list[int], error: str) -> None:
    with refused(error):
        parties = (deal.provider.address, deal.evaluator.address)
        world.market.createFunded(*parties, deal.expiry, names, budgets, sender=deal.client.address)


def test_a_batch_needs_a_provider(world: World, deal: Deal) -> None:
    with refused("ZeroAddress"):
        world.market.createFunded(ZERO, deal.evaluator.address, deal.expiry, ["x"], [1], sender=deal.client.address)


def test_creation_is_bounded(world: World, deal: Deal) -> None:
    who, parties = {"sender": deal.client.address}, (deal.provider.address, deal.evaluator.address)
    with refused("ZeroAddress"):
        world.market.createJob(deal.provider.address, ZERO, deal.expiry, "", ZERO, **who)
    with refused("HookRefused", deal.client.address):
        world.market.createJob(*parties, deal.expiry, "", deal.client.address, **who)
    for expiry in (world.time(), world.time() + 801 * 86_400):
        with refused("ExpiryOutOfBounds"):
            world.market.createJob(*parties, expiry, "", ZERO, **who)
    with refused("DescriptionTooLong", 1_025, 1_024):
        world.market.createJob(*parties, deal.expiry, "x" * 1_025, ZERO, **who)


def test_an_unknown_job_is_said(world: World) -> None:
    with refused("UnknownJob", 999):
        world.market.getJob(999)


def test_a_client_without_money_funds_nothing(world: World, deal: Deal) -> None:
    poor = Account("poor")
    world.fund(poor, 1)
    with refused("ERC20InsufficientBalance"):
        parties = (deal.provider.address, deal.evaluator.address)
        world.market.createFunded(*parties, deal.expiry, ["x"], [2 * UNIT], sender=poor.address)


def test_the_fee_is_bounded_and_needs_a_treasury(world: World) -> None:
    with refused("FeeOutOfBounds", 1_001, 1_000):
        world.deploy("JobMarket", world.token, world.clock, world.treasury.address, 1_001)
    with refused("ZeroAddress"):
        world.deploy("JobMarket", world.token, world.clock, ZERO, 300)
