"""HansaToken: supply, cap, minter, burning, permit."""

from __future__ import annotations

from eth_utils import keccak

from tests.contracts.abi import refused
from tests.contracts.world import SUPPLY, Account, World

ZERO = "0x" + "00" * 20
PERMIT = keccak(text="Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")


def test_the_whole_supply_starts_with_one_holder(world: World) -> None:
    assert world.token.totalSupply() == SUPPLY == world.token.balanceOf(world.deployer.address)
    assert world.token.minter() == ZERO


def test_nobody_mints_without_a_minter(world: World) -> None:
    with refused("NotMinter", world.deployer.address):
        world.token.mint(world.deployer.address, 1, sender=world.deployer.address)


def test_the_minter_mints_up_to_the_cap(world: World) -> None:
    minter = Account("minter")
    token = world.deploy("HansaToken", "t", "T", 100, world.deployer.address, 60, minter.address)
    token.mint(minter.address, 40, sender=minter.address)
    with refused("ERC20ExceededCap", 101, 100):
        token.mint(minter.address, 1, sender=minter.address)


def test_a_supply_above_the_cap_is_refused(world: World) -> None:
    with refused("ERC20ExceededCap", 101, 100):
        world.deploy("HansaToken", "t", "T", 100, world.deployer.address, 101, ZERO)


def test_the_cap_fits_128_bits(world: World) -> None:
    world.deploy("HansaToken", "t", "T", 2**128 - 1, world.deployer.address, 1, ZERO)
    with refused("CapTooLarge", 2**128, 2**128 - 1):
        world.deploy("HansaToken", "t", "T", 2**128, world.deployer.address, 1, ZERO)


def test_burning_lowers_the_supply(world: World) -> None:
    world.token.burn(5, sender=world.deployer.address)
    assert world.token.totalSupply() == SUPPLY - 5


def test_a_permit_lets_a_spender_pull_once(world: World) -> None:
    owner, spender = Account("owner"), Account("spender")
    until = world.evm.now + 10
    values = (PERMIT, owner.address, spender.address, 7, 0, until)
    hash_ = world.typed(world.domain(world.token, "hansa"), "bytes32 address address uint256 uint256 uint256", *values)
    signature = owner.sign(hash_)
    parts = (signature[64], signature[:32], signature[32:64])
    world.token.permit(owner.address, spender.address, 7, until, *parts)
    assert world.token.allowance(owner.address, spender.address) == 7
    with refused("ERC2612InvalidSigner"):
        world.token.permit(owner.address, spender.address, 7, until, *parts)
