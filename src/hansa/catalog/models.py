"""Publishing a trained model: an entry in the registry, a version named by its digest, and approval through its acceptance (R11)."""

from __future__ import annotations

import msgspec

from hansa.chain.deployment import Contracts
from hansa.chain.events import Decoder
from hansa.core.errors import LedgerError
from hansa.core.ports import Ledger, Signer
from hansa.core.types import BlobRef


class Version(msgspec.Struct, frozen=True):
    """One version as it is published: the model's blob, what it grew from, the records of its making and of its measurement.

    `training` is the digest of the last round's manifest, `evaluation` that of the acceptance shard; both lead an auditor on.
    """

    artifact: BlobRef
    parents: tuple[bytes, ...]
    training: bytes
    evaluation: bytes
    uri: str = ""


async def publish(
    ledger: Ledger, contracts: Contracts, signer: Signer, lineage: bytes, version: Version, *, title: str, intent: str
) -> int:
    """Register a model whose approver is the acceptance contract, publish its version and propose it; returns the model's number."""
    models = contracts.models
    receipt = await ledger.send(models.register_model(lineage, title), signer, intent=f"{intent}/register")
    decoder = Decoder({models.address: "ModelRegistry"})
    made = [event for log in receipt.logs if (event := decoder.decode(log)) is not None and event.name == "ModelRegistered"]
    if not made:
        raise LedgerError("the registry listed no model; look at the transaction " + receipt.transaction.hex())
    model = int(str(made[0].args["model"]))
    await ledger.send(models.set_approver(model, contracts.acceptance.address), signer, intent=f"{intent}/approver")
    await add_version(ledger, contracts, signer, model, version, intent=intent)
    return model


async def add_version(ledger: Ledger, contracts: Contracts, signer: Signer, model: int, version: Version, *, intent: str) -> None:
    """Publish one more version of a model and propose it."""
    models = contracts.models
    call = models.publish_version(model, version.artifact.digest, version.parents, version.training, version.evaluation, version.uri)
    await ledger.send(call, signer, intent=f"{intent}/version")
    await ledger.send(models.propose(model, version.artifact.digest), signer, intent=f"{intent}/propose")


async def succeed(ledger: Ledger, contracts: Contracts, signer: Signer, model: int, version: Version, *, intent: str) -> None:
    """A version that its verifiers accepted takes the place of its first parent, which is deprecated only once the child is approved."""
    await add_version(ledger, contracts, signer, model, version, intent=intent)
    await approve(ledger, contracts, signer, model, version.artifact.digest, intent=intent)
    await ledger.send(contracts.models.deprecate(model, version.parents[0]), signer, intent=f"{intent}/deprecate")


async def approve(ledger: Ledger, contracts: Contracts, signer: Signer, model: int, artifact: bytes, *, intent: str) -> bool:
    """Turn acceptance into approval, by anyone; Reverted while the verifiers have not accepted. Answers what a serving node would ask."""
    await ledger.send(contracts.models.approve_version(model, artifact), signer, intent=f"{intent}/approve")
    return await contracts.models.is_approved(model, artifact).read(ledger)
