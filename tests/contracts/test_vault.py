"""StakeVault: stake, locks, slashing and the way out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.abi import Contract, refused
from tests.contracts.world import THAW_DELAY, Account, World, digest

CLAIM = digest("claim")


@pytest.fixture
def vault(world: World) -> Contract:
    return world.vault


@pytest.fixture
def service() -> Account:
    return Account("service")


@pytest.fixture
def staker(world: World, service: Account) -> Account:
    account = Account("staker")
    world.fund(account, 10_000)
    world.vault.stake(1_000, sender=account.address)
    world.vault.setService(service.address, True, sender=account.address)
    return account


def lock(world: World, staker: Account, service: Account, amount: int = 400, claim: bytes = CLAIM, until: int = 1000) -> Any:
    return world.vault.lock(staker.address, claim, amount, world.time() + until, sender=service.address)


def test_stake_is_pulled_and_owed(world: World, staker: Account) -> None:
    assert world.vault.staked(staker.address) == 1_000 == world.vault.freeOf(staker.address)
    assert world.vault.owed() == 1_000 == world.token.balanceOf(world.vault.address)


def test_stake_for_another_belongs_to_the_other(world: World, staker: Account) -> None:
    world.vault.stakeFor(Account("other").address, 7, sender=staker.address)
    assert world.vault.staked(Account("other").address) == 7
    assert world.vault.staked(staker.address) == 1_000


def test_zero_stake_is_refused(world: World, staker: Account) -> None:
    with refused("ZeroAmount"):
        world.vault.stake(0, sender=staker.address)


def test_a_lock_needs_consent(world: World, staker: Account) -> None:
    stranger = Account("stranger")
    with refused("ServiceNotAllowed", staker.address, stranger.address):
        lock(world, staker, stranger)


def test_withdrawn_consent_stops_new_locks_and_keeps_old_ones(world: World, staker: Account, service: Account) -> None:
    lock(world, staker, service)
    world.vault.setService(service.address, False, sender=staker.address)
    with refused("ServiceNotAllowed"):
        lock(world, staker, service, claim=digest("other"))
    assert world.vault.locked(staker.address) == 400
    assert world.vault.slash(CLAIM, 400, staker.address, staker.address, sender=service.address).value == 400


def test_a_lock_takes_free_stake_only(world: World, staker: Account, service: Account) -> None:
    with refused("InsufficientFree", staker.address, 1_001, 1_000):
        lock(world, staker, service, 1_001)
    lock(world, staker, service, 1_000)
    assert world.vault.freeOf(staker.address) == 0


def test_a_claim_is_one_account_s(world: World, staker: Account, service: Account) -> None:
    lock(world, staker, service)
    with refused("ClaimTaken", service.address, CLAIM):
        lock(world, staker, service)


def test_the_same_name_of_another_service_is_another_claim(world: World, staker: Account, service: Account) -> None:
    second = Account("second service")
    world.vault.setService(second.address, True, sender=staker.address)
    lock(world, staker, service)
    lock(world, staker, second)
    world.vault.release(CLAIM, sender=second.address)
    assert world.vault.locked(staker.address) == 400


@pytest.mark.parametrize("until", [0, 800 * 86_400 + 1])
def test_a_lock_ends_within_bounds(world: World, staker: Account, service: Account, until: int) -> None:
    with refused("LockOutOfBounds"):
        lock(world, staker, service, until=until)


def test_release_frees_the_lock_once(world: World, staker: Account, service: Account) -> None:
    lock(world, staker, service)
    assert world.vault.release(CLAIM, sender=service.address).value == 400
    assert world.vault.freeOf(staker.address) == 1_000
    assert world.vault.release(CLAIM, sender=service.address).value == 0


def test_a_silent_service_never_keeps_stake(world: World, staker: Account, service: Account) -> None:
    lock(world, staker, service, until=50)
    world.wait(49)
    with refused("LockRunning"):
        world.vault.releaseExpired(service.address, CLAIM)
    world.wait(1)
    assert world.vault.releaseExpired(service.address, CLAIM).value == 400
    assert world.vault.freeOf(staker.address) == 1_000


def test_a_slash_is_split_forty_twenty_forty(world: World, staker: Account, service: Account) -> None:
    lock(world, staker, service)
    supply = world.token.totalSupply()
    victim, finder = Account("victim").address, Account("finder").address
    event = world.vault.slash(CLAIM, 100, victim, finder, sender=service.address).one("Slashed")
    assert (event.toVictim, event.toFinder, event.burned) == (40, 20, 40)
    assert (world.vault.credit(victim), world.vault.credit(finder)) == (40, 20)
    assert supply - world.token.totalSupply() == 40
    assert (world.vault.staked(staker.address), world.vault.locked(staker.address)) == (900, 300)


def test_r15_a_zero_finder_s_share_burns(world: World, staker: Account, service: Account) -> None:
    lock(world, staker, service)
    event = world.vault.slash(CLAIM, 100, Account("victim").address, "0x" + "00" * 20, sender=service.address).one("Slashed")
    assert (event.toVictim, event.toFinder, event.burned) == (40, 0, 60)


def test_a_slash_takes_at_most_the_lock(world: World, staker: Account, service: Account) -> None:
    lock(world, staker, service)
    victim = Account("victim").address
    assert world.vault.slash(CLAIM, 10_000, victim, victim, sender=service.address).value == 400
    assert world.vault.staked(staker.address) == 600
    assert world.vault.slash(CLAIM, 1, victim, victim, sender=service.address).value == 0


def test_nobody_else_slashes(world: World, staker: Account, service: Account) -> None:
    lock(world, staker, service)
    assert world.vault.slash(CLAIM, 400, service.address, service.address, sender=Account("stranger").address).value == 0
    assert world.vault.locked(staker.address) == 400


def test_thawing_stake_leaves_after_the_delay(world: World, staker: Account) -> None:
    world.vault.thaw(300, sender=staker.address)
    assert world.vault.freeOf(staker.address) == 700
    world.wait(THAW_DELAY - 1)
    with refused("NothingMatured", staker.address):
        world.vault.withdraw(sender=staker.address)
    world.wait(1)
    assert world.vault.withdraw(sender=staker.address).value == 300
    before = world.token.balanceOf(staker.address)
    world.collect(world.vault, staker)
    assert world.token.balanceOf(staker.address) == before + 300
    assert (world.vault.staked(staker.address), world.vault.thawing(staker.address)) == (700, 0)


def test_locked_stake_does_not_thaw_and_thawing_stake_is_not_locked(world: World, staker: Account, service: Account) -> None:
    lock(world, staker, service, 800)
    with refused("InsufficientFree", staker.address, 201, 200):
        world.vault.thaw(201, sender=staker.address)
    world.vault.thaw(150, sender=staker.address)
    with refused("InsufficientFree", staker.address, 51, 50):
        lock(world, staker, service, 51, digest("next"))


def test_eight_requests_at_most_and_matured_ones_leave_in_order(world: World, staker: Account) -> None:
    for amount in range(1, 9):
        world.vault.thaw(amount, sender=staker.address)
        world.wait(10)
    with refused("TooManyThaws", staker.address, 8):
        world.vault.thaw(1, sender=staker.address)
    world.wait(THAW_DELAY - 80 + 20)
    assert world.vault.withdraw(sender=staker.address).value == 1 + 2 + 3
    assert [thaw.amount for thaw in world.vault.thawsOf(staker.address)] == [4, 5, 6, 7, 8]


def test_a_delay_out_of_bounds_is_refused(world: World) -> None:
    with refused("DelayOutOfBounds"):
        world.deploy("StakeVault", world.token, world.clock, 91 * 86_400)


def test_nothing_to_collect_is_said(world: World) -> None:
    with refused("NothingToCollect"):
        world.vault.collect(sender=Account("poor").address)
