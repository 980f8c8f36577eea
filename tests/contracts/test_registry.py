"""NodeRegistry and gates: admission, one node per account, hot keys that must consent (R18)."""

from __future__ import annotations

import pytest

from tests.contracts.abi import refused
from tests.contracts.world import ALL_ROLES, UNIT, Account, Job, World, digest

HALF = (digest("certificate"), digest("key"))


def register(world: World, account: Account, roles: int = ALL_ROLES, name: str = "n", endpoint: str = "https://n") -> int:
    return int(world.registry.register(name, endpoint, *HALF, roles, b"", sender=account.address).value)


def operated(world: World) -> tuple[Account, Account]:
    owner, key = Account("owner"), Account("hot key")
    register(world, owner)
    world.registry.setOperator(key.address, sender=owner.address)
    world.registry.acceptOperator(owner.address, sender=key.address)
    return owner, key


def test_a_node_is_registered_once_per_account(world: World) -> None:
    account = Account("owner")
    node = register(world, account)
    assert world.registry.ownerOf(node) == account.address
    record = world.registry.nodeOf(account.address)
    assert (record.name, record.endpoint, record.roles) == ("n", "https://n", ALL_ROLES)
    with refused("AlreadyRegistered", account.address):
        register(world, account)


@pytest.mark.parametrize(("name", "endpoint"), [("n" * 65, "e"), ("n", "e" * 257)])
def test_long_texts_are_refused(world: World, name: str, endpoint: str) -> None:
    with refused("TextTooLong"):
        register(world, Account("owner"), name=name, endpoint=endpoint)


@pytest.mark.parametrize("roles", [0, 1, 3])
def test_a_mask_names_roles(world: World, roles: int) -> None:
    with refused("UnknownRoles", roles):
        register(world, Account("owner"), roles)


def test_endpoint_certificate_and_key_change(world: World) -> None:
    owner, key = operated(world)
    world.registry.update("https://new", *HALF, sender=key.address)
    assert world.registry.nodeOf(owner.address).endpoint == "https://new"
    with refused("NotRegistered"):
        world.registry.update("https://new", *HALF, sender=Account("stranger").address)


def test_r18_an_operator_speaks_for_its_account_after_consent(world: World) -> None:
    owner, key = Account("owner"), Account("hot key")
    register(world, owner)
    world.registry.setOperator(key.address, sender=owner.address)
    assert world.registry.accountOf(key.address) == key.address
    with refused("NotProposed", Account("stranger").address, owner.address):
        world.registry.acceptOperator(owner.address, sender=Account("stranger").address)
    world.registry.acceptOperator(owner.address, sender=key.address)
    assert world.registry.accountOf(key.address) == owner.address == world.registry.accountOf(owner.address)


def test_r18_rotation_takes_the_old_key_away_at_once(world: World) -> None:
    owner, key = operated(world)
    world.registry.setOperator(Account("next").address, sender=owner.address)
    assert world.registry.accountOf(key.address) == key.address
    world.registry.acceptOperator(owner.address, sender=Account("next").address)
    assert world.registry.accountOf(Account("next").address) == owner.address


def test_an_operator_serves_one_account_and_is_none_itself(world: World) -> None:
    owner, key = operated(world)
    other = Account("other")
    register(world, other)
    with refused("KeyInUse", key.address):
        register(world, key)
    world.registry.setOperator(key.address, sender=other.address)
    with refused("KeyInUse", key.address):
        world.registry.acceptOperator(other.address, sender=key.address)
    world.registry.setOperator(owner.address, sender=other.address)
    with refused("KeyInUse", owner.address):
        world.registry.acceptOperator(other.address, sender=owner.address)


def test_only_the_account_names_its_operator(world: World) -> None:
    _, key = operated(world)
    with refused("NotRegistered", key.address):
        world.registry.setOperator(key.address, sender=key.address)


def test_a_transfer_clears_operator_and_roles(world: World) -> None:
    owner, key = operated(world)
    buyer = Account("buyer")
    node = world.registry.idOf(owner.address)
    world.registry.transferFrom(owner.address, buyer.address, node, sender=owner.address)
    assert world.registry.idOf(owner.address) == 0
    assert world.registry.accountOf(key.address) == key.address
    assert not world.registry.hasRole(buyer.address, 1)
    world.registry.setRoles(ALL_ROLES, b"", sender=buyer.address)
    assert world.registry.hasRole(buyer.address, 1)


def test_a_node_stays_while_its_account_has_locked_stake(world: World) -> None:
    job = Job(world).enrol()
    trainer = job.trainers[0]
    node = world.registry.idOf(trainer.address)
    with refused("StakeLocked", trainer.address, 10 * UNIT):
        world.registry.transferFrom(trainer.address, Account("buyer").address, node, sender=trainer.address)


def test_a_node_is_not_sent_to_an_account_that_has_one_or_is_a_key(world: World) -> None:
    owner, _ = operated(world)
    other, key = Account("other"), Account("other key")
    register(world, other)
    node = world.registry.idOf(owner.address)
    with refused("AlreadyRegistered", other.address):
        world.registry.transferFrom(owner.address, other.address, node, sender=owner.address)
    world.registry.setOperator(key.address, sender=other.address)
    world.registry.acceptOperator(other.address, sender=key.address)
    with refused("KeyInUse", key.address):
        world.registry.transferFrom(owner.address, key.address, node, sender=owner.address)


def listed(world: World) -> World:
    return World(world.evm, world.artefact, gate="ListGate")


def test_a_list_admits_by_role(world: World) -> None:
    closed, account = listed(world), Account("hospital")
    with refused("NotAdmitted", account.address, 1):
        register(closed, account, 2)
    closed.gate.list([account.address], 2, sender=closed.deployer.address)
    with refused("NotAdmitted", account.address, 2):
        register(closed, account, 2 + 4)
    register(closed, account, 2)
    assert closed.registry.hasRole(account.address, 1)


def test_taking_off_the_list_revokes(world: World) -> None:
    closed, account = listed(world), Account("hospital")
    closed.gate.list([account.address], 2, sender=closed.deployer.address)
    register(closed, account, 2)
    closed.gate.list([account.address], 0, sender=closed.deployer.address)
    assert not closed.registry.hasRole(account.address, 1)


def test_only_the_owner_lists(world: World) -> None:
    closed, stranger = listed(world), Account("stranger")
    with refused("OwnableUnauthorizedAccount", stranger.address):
        closed.gate.list([stranger.address], 2, sender=stranger.address)
