"""ModelRegistry: versions, lineage, and the one status a serving node asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.abi import refused
from tests.contracts.world import Account, World, digest

ARTIFACT = digest("artifact")
NONE, DRAFT, CANDIDATE, APPROVED, DEPRECATED, REVOKED = range(6)


class Model:
    def __init__(self, world: World) -> None:
        self.world, self.owner, self.approver = world, Account("owner"), Account("approver")
        self.id = world.models.registerModel(bytes(32), "card", sender=self.owner.address).value
        world.models.setApprover(self.id, self.approver.address, sender=self.owner.address)

    def publish(self, artifact: bytes = ARTIFACT, parents: int = 0, who: Account | None = None, uri: str = "") -> None:
        digests = [digest("parent", i) for i in range(parents)]
        who = who or self.owner
        self.world.models.publishVersion(self.id, artifact, digests, digest("r"), digest("e"), uri, sender=who.address)

    def call(self, name: str, who: Account) -> Any:
        return getattr(self.world.models, name)(self.id, ARTIFACT, sender=who.address)

    @property
    def status(self) -> int:
        return int(self.world.models.versionOf(self.id, ARTIFACT).status)


@pytest.fixture
def model(world: World) -> Model:
    return Model(world)


def test_a_version_goes_from_draft_to_deprecated(model: Model) -> None:
    model.publish(parents=8)
    steps = [("propose", model.owner, CANDIDATE), ("approveVersion", model.approver, APPROVED), ("deprecate", model.owner, DEPRECATED)]
    assert model.status == DRAFT
    for name, who, status in steps:
        assert model.call(name, who).one("StatusChanged").to == status == model.status
        assert model.world.models.isApproved(model.id, ARTIFACT) == (status == APPROVED)


def test_no_step_is_skipped(model: Model) -> None:
    with refused("UnknownVersion"):
        model.call("propose", model.owner)
    model.publish()
    with refused("WrongStatus"):
        model.call("approveVersion", model.approver)
    with refused("WrongStatus"):
        model.call("deprecate", model.owner)


def test_revoked_is_final(model: Model) -> None:
    model.publish()
    model.call("revoke", model.approver)
    for name, who in (("propose", model.owner), ("approveVersion", model.approver), ("deprecate", model.owner), ("revoke", model.owner)):
        with refused("WrongStatus"):
            model.call(name, who)
    with refused("VersionExists"):
        model.publish()


@pytest.mark.parametrize("act", ["propose", "publish", "setApprover"])
def test_only_the_owner_publishes_and_proposes(model: Model, act: str) -> None:
    model.publish()
    stranger = Account("stranger")
    calls: dict[str, Callable[[], Any]] = {
        "propose": lambda: model.call("propose", stranger),
        "publish": lambda: model.publish(digest("other"), who=stranger),
        "setApprover": lambda: model.world.models.setApprover(model.id, stranger.address, sender=stranger.address),
    }
    with refused("NotOwner", model.id, stranger.address):
        calls[act]()


@pytest.mark.parametrize("act", ["approveVersion", "deprecate", "revoke"])
def test_strangers_decide_nothing(model: Model, act: str) -> None:
    model.publish()
    model.call("propose", model.owner)
    with refused("NotApprover"):
        model.call(act, Account("stranger"))


def test_the_owner_does_not_approve_its_own_version(model: Model) -> None:
    model.publish()
    model.call("propose", model.owner)
    with refused("NotApprover"):
        model.call("approveVersion", model.owner)


def test_a_version_keeps_the_approver_it_was_published_under(model: Model) -> None:
    model.publish()
    model.world.models.setApprover(model.id, model.owner.address, sender=model.owner.address)
    model.call("propose", model.owner)
    with refused("NotApprover"):
        model.call("approveVersion", model.owner)
    model.call("approveVersion", model.approver)


def test_a_model_without_an_approver_approves_nothing(world: World) -> None:
    owner = Account("owner")
    number = world.models.registerModel(bytes(32), "", sender=owner.address).value
    world.models.publishVersion(number, ARTIFACT, [], bytes(32), bytes(32), "", sender=owner.address)
    world.models.propose(number, ARTIFACT, sender=owner.address)
    with refused("NotApprover"):
        world.models.approveVersion(number, ARTIFACT, sender=owner.address)


def test_publication_is_bounded(model: Model) -> None:
    with refused("TooManyParents", 9, 8):
        model.publish(parents=9)
    with refused("ZeroDigest"):
        model.publish(bytes(32))
    with refused("UriTooLong", 1_025, 1_024):
        model.publish(uri="x" * 1_025)
    model.publish()
    with refused("VersionExists"):
        model.publish()


def test_a_model_is_a_token_with_a_card(model: Model) -> None:
    registry = model.world.models
    assert registry.tokenURI(model.id) == "card"
    assert registry.modelOf(model.id).approver == model.approver.address
    assert all(registry.supportsInterface(bytes.fromhex(one)) for one in ("80ac58cd", "49064906", "01ffc9a7"))
    buyer = Account("buyer")
    registry.transferFrom(model.owner.address, buyer.address, model.id, sender=model.owner.address)
    model.publish(who=buyer)
