"""The registry's models as they stand: every version, its status, in order."""

from __future__ import annotations

import asyncio

import pytest

from hansa.catalog.listing import find_listed, list_models
from hansa.core.encoding import sha256
from hansa.core.errors import ProtocolError
from tests.market.world import CLIENT, NODE, World, world


async def published(town: World) -> None:
    models, send = town.contracts.models, town.ledger.send
    await send(models.register_model(sha256(b"lineage"), "first"), CLIENT, intent="register/1")
    await send(models.register_model(sha256(b"other"), "second"), NODE, intent="register/2")
    for place, name in enumerate((b"a", b"b")):
        parents = (sha256(b"a"),) if place else ()
        call = models.publish_version(1, sha256(name), parents, sha256(b"training"), sha256(b"evaluation"), "hansa:job/1")
        await send(call, CLIENT, intent=f"version/{place}")
    await send(models.propose(1, sha256(b"a")), CLIENT, intent="propose")
    await send(models.revoke(1, sha256(b"b")), CLIENT, intent="revoke")


def test_models_with_their_versions() -> None:
    async def story() -> None:
        town = await world()
        assert await list_models(town.ledger, town.contracts, 0) == []
        await published(town)
        first, second = await list_models(town.ledger, town.contracts, 0)
        assert (first.number, first.title, first.owner, first.lineage) == (1, "first", CLIENT.address, sha256(b"lineage").hex())
        assert [(version.artifact, version.status, version.parents) for version in first.versions] == [
            (sha256(b"a").hex(), "candidate", ()),
            (sha256(b"b").hex(), "revoked", (sha256(b"a").hex(),)),
        ]
        assert (first.versions[0].training, first.versions[0].uri) == (sha256(b"training").hex(), "hansa:job/1")
        assert (second.number, second.owner, second.versions) == (2, NODE.address, ())
        assert await find_listed(town.ledger, town.contracts, 0, 2) == second

    asyncio.run(story())


def test_a_model_that_is_not_there() -> None:
    async def story() -> None:
        town = await world()
        with pytest.raises(ProtocolError, match="there is no model 3"):
            await find_listed(town.ledger, town.contracts, 0, 3)

    asyncio.run(story())
