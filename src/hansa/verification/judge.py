"""A verdict on one anchor, as a pure function of the ledger's facts and the blobs: every honest verifier reaches the same one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from eth_abi.abi import encode as abi_encode
from msgspec.structs import replace

from hansa.core.encoding import keccak
from hansa.core.errors import FormatError, IdentityError, ProtocolError
from hansa.core.types import Address, BlobRef, Digest, Fault, FaultKind, Judgement, Verdict
from hansa.identity.typed import Domain
from hansa.rounds.anchor import Anchor, updates_root
from hansa.rounds.assemble import Standing, outcome, read_update
from hansa.rounds.credits import credits_root
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Held, Manifest
from hansa.rounds.spec import JobSpec
from hansa.rounds.staleness import Used

_ORDER = list(FaultKind)
Name = Callable[[bytes], bytes]
"""The blob digest (UnixFS root) of some bytes; passed in, because storage is below this room but not for it to use."""


def judge(
    spec: JobSpec, job: JobState, anchor: Anchor, manifest: Manifest, before: Standing, blobs: Mapping[bytes, bytes],
    left: Mapping[str, bytes], domain: Domain, account_of: Callable[[Address], Address], name: Name,
) -> Verdict:  # fmt: skip
    """Valid when everything recomputes; wrong otherwise, with the digest that this verifier signs instead and the faults it found.

    `blobs` holds every update that the manifest names, each already matched to its digest; `before` is what the previous round left;
    `left` the digests of updates that trainers left with this verifier in time: what was registered but left with nobody binds nobody.
    A fault in the set of updates leaves no anchor that all honest verifiers would compute; they then sign a digest of the first such fault.
    """
    coordinator = Address(job.coordinator)
    found = _set_faults(spec, job, anchor, manifest, before.used, blobs, left, domain, account_of)
    if found:
        first = min(found, key=lambda fault: _ORDER.index(fault.kind))
        return Verdict(Judgement.WRONG, fault_digest(anchor, first.kind), tuple(found))
    made = outcome(spec, job, before, manifest.updates, blobs, coordinator)
    expected = replace(
        anchor,
        updates=updates_root(each.statement for each in manifest.updates),
        aggregate=name(made.aggregate),
        model=name(made.model),
        model_size=len(made.model),
        credits=credits_root(job.id, made.credits),
        accepted=len(manifest.updates),
    )
    faults = list(_differences(anchor, expected, coordinator))
    if manifest.credit_table() != made.credits:
        # The root may be right while the table that claims are proven from is not: then nobody could claim.
        faults.append(Fault(coordinator, FaultKind.WRONG_CREDITS, "the manifest's credits are not what the round earned"))
    named = (manifest.aggregate.digest, manifest.aggregate.size, manifest.model.digest, manifest.model.size)
    if named != (expected.aggregate, len(made.aggregate), expected.model, expected.model_size):
        # Whoever follows the manifest would fetch, and hold, something else than what the ledger names.
        faults.append(Fault(coordinator, FaultKind.WRONG_AGGREGATE, "the manifest names another aggregate or model than the updates give"))
    server = BlobRef(name(made.server), len(made.server)) if made.server else None
    if manifest.server != server:
        # Nothing on the ledger names the server's state but the manifest, whose digest is anchored: the next round starts from it.
        faults.append(Fault(coordinator, FaultKind.WRONG_MODEL, "the manifest names another server state than the round leads to"))
    if manifest.left_out != made.left_out:
        faults.append(Fault(coordinator, FaultKind.WRONG_AGGREGATE, "the manifest names others whom the rule left out than it did"))
    if not faults:
        return Verdict(Judgement.VALID, anchor.digest())
    digest = expected.digest() if expected != anchor else fault_digest(anchor, faults[0].kind)
    return Verdict(Judgement.WRONG, digest, tuple(faults))


def fault_digest(anchor: Anchor, kind: FaultKind) -> Digest:
    """keccak(abi.encode(anchor digest, fault number)): one digest for one kind of fault in one anchor."""
    return Digest(keccak(abi_encode(("bytes32", "uint256"), (anchor.digest(), 1 + _ORDER.index(kind)))))


def _set_faults(
    spec: JobSpec, job: JobState, anchor: Anchor, manifest: Manifest, used: Used, blobs: Mapping[bytes, bytes],
    left: Mapping[str, bytes], domain: Domain, account_of: Callable[[Address], Address],
) -> list[Fault]:  # fmt: skip
    """What is wrong with the updates themselves: whose they are, how many, which are missing, whether they are of this round."""
    coordinator = Address(job.coordinator)
    found = []
    if anchor.base != job.base or manifest.base.digest != job.base:
        found.append(Fault(coordinator, FaultKind.WRONG_BASE, "the round does not start from the last final model"))
    if (manifest.job, manifest.round, manifest.attempt, manifest.coordinator) != (job.id, job.round, job.attempt, coordinator):
        found.append(Fault(coordinator, FaultKind.WRONG_AGGREGATE, "the manifest is of another job, round, attempt or coordinator"))
    if len(manifest.updates) < job.terms.quorum:
        found.append(Fault(coordinator, FaultKind.BELOW_QUORUM, f"{len(manifest.updates)} updates, quorum {job.terms.quorum}"))
    for accepted in manifest.updates:
        said = accepted.statement
        try:
            signer = account_of(said.signer_of(domain, accepted.signature))
            if signer != said.trainer or said.trainer not in job.trainers:
                raise IdentityError("not signed by a seated trainer")
            read_update(spec, job, accepted, blobs[said.update], used)
        except (IdentityError, FormatError, ProtocolError) as error:
            found.append(Fault(coordinator, FaultKind.FORGED_UPDATE, f"update in the name of {said.trainer}: {error}"))
    # An asynchronous round waits for nobody.
    if job.premature() and not spec.asynchronous:
        found.append(Fault(coordinator, FaultKind.OMITTED_UPDATE, "anchored while a trainer it lacks could still go to the ledger (R5)"))
    new = (manifest.aggregate, manifest.model, *((manifest.server,) if manifest.server else ()))
    named = {*(ref.digest for ref in new), *(accepted.statement.update for accepted in manifest.updates)}
    if named - {held.receipt.blob for held in manifest.held if _promised(held, job, domain, account_of)}:
        found.append(Fault(coordinator, FaultKind.UNAVAILABLE, "a blob has no second holder's promise (R17)"))
    listed = {accepted.statement.trainer for accepted in manifest.updates}
    for trainer, update in job.registered_now().items():
        # A trainer that brought one update and registered another has been heard; its own doubling is nobody else's fault.
        if trainer not in listed and left.get(trainer) == update:
            found.append(Fault(coordinator, FaultKind.OMITTED_UPDATE, f"{trainer} registered an update on the ledger (R5)"))
    return found


def _promised(held: Held, job: JobState, domain: Domain, account_of: Callable[[Address], Address]) -> bool:
    """Whether another coordinator or a verifier of the job signed that it serves the blob beyond the job's end."""
    receipt, others = held.receipt, {*job.coordinators, *job.verifiers} - {job.coordinator}
    if receipt.job != job.id or receipt.until < job.terms.deadline or held.holder not in others:
        return False
    try:
        return account_of(receipt.signer_of(domain, held.signature)) == held.holder
    except (IdentityError, FormatError):
        return False


def _differences(anchor: Anchor, expected: Anchor, coordinator: Address) -> list[Fault]:
    kinds = {
        "aggregate": FaultKind.WRONG_AGGREGATE, "updates": FaultKind.WRONG_AGGREGATE, "accepted": FaultKind.WRONG_AGGREGATE,
        "model": FaultKind.WRONG_MODEL, "model_size": FaultKind.WRONG_MODEL, "credits": FaultKind.WRONG_CREDITS,
    }  # fmt: skip
    return [
        Fault(coordinator, kind, f"{field} is not what the updates give")
        for field, kind in kinds.items()
        if getattr(anchor, field) != getattr(expected, field)
    ]
