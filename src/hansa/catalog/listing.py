"""What the model registry lists: each model with its versions, read from the registry's events and its present state."""

from __future__ import annotations

import asyncio

import msgspec

from hansa.chain.deployment import Contracts
from hansa.chain.events import Decoder
from hansa.core.errors import ProtocolError
from hansa.core.ports import Ledger

STATUS = ("none", "draft", "candidate", "approved", "deprecated", "revoked")


class ListedVersion(msgspec.Struct, frozen=True):
    """One version; digests in hexadecimal. `training` is the digest of its last round's manifest, `parents` are other artifacts."""

    artifact: str
    status: str
    parents: tuple[str, ...]
    training: str
    evaluation: str
    uri: str


class ListedModel(msgspec.Struct, frozen=True):
    """One model: its number, what it is called, the digest its lineage starts from, whose it is, and its versions in order."""

    number: int
    title: str
    lineage: str
    owner: str
    versions: tuple[ListedVersion, ...]


async def list_models(ledger: Ledger, contracts: Contracts, first_block: int) -> list[ListedModel]:
    """Every model; `first_block` is the deployment's."""
    logs = await ledger.logs([contracts.models.address], first_block, (await ledger.head()).number)
    decoder = Decoder({contracts.models.address: "ModelRegistry"})
    artifacts: dict[int, list[bytes]] = {number: [] for number in range(1, await contracts.models.count().read(ledger) + 1)}
    for log in logs:
        event = decoder.decode(log)
        if event is not None and event.name == "VersionPublished":
            artifact = event.args["artifact"]
            if isinstance(artifact, bytes):
                artifacts.setdefault(int(str(event.args["model"])), []).append(artifact)
    return [await _model(ledger, contracts, number, versions) for number, versions in sorted(artifacts.items())]


async def find_listed(ledger: Ledger, contracts: Contracts, first_block: int, number: int) -> ListedModel:
    """ProtocolError when the registry has no such model."""
    for model in await list_models(ledger, contracts, first_block):
        if model.number == number:
            return model
    raise ProtocolError(f"there is no model {number} in the registry; `hansa model list` shows those there are")


async def _model(ledger: Ledger, contracts: Contracts, number: int, artifacts: list[bytes]) -> ListedModel:
    model = await contracts.models.model_of(number).read(ledger)
    owner = await contracts.models.owner_of(number).read(ledger)
    versions = await asyncio.gather(*(_version(ledger, contracts, number, artifact) for artifact in artifacts))
    return ListedModel(number, model.uri, model.lineage_root.hex(), owner, tuple(versions))


async def _version(ledger: Ledger, contracts: Contracts, number: int, artifact: bytes) -> ListedVersion:
    found = await contracts.models.version_of(number, artifact).read(ledger)
    parents = tuple(parent.hex() for parent in found.parents)
    return ListedVersion(artifact.hex(), STATUS[found.status], parents, found.training_record.hex(), found.eval_record.hex(), found.uri)
