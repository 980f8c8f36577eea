"""How a model came to be: from its digest back through every round to the data-set digests, each step checked, none taken on trust."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from hansa.core.errors import HansaError, ProtocolError
from hansa.core.types import Address, BlobRef, Wei
from hansa.identity.typed import Domain
from hansa.rounds import manifest
from hansa.rounds.anchor import updates_root
from hansa.rounds.credits import add, credits_root, earned, round_price
from hansa.rounds.job import FinalRound, JobState
from hansa.rounds.manifest import Manifest
from hansa.rounds.staleness import Used, check, used_by

Get = Callable[[BlobRef], Awaitable[bytes]]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was checked: what, whether it holds, and what was seen."""

    what: str
    holds: bool
    seen: str


class Contribution(msgspec.Struct, frozen=True):
    """One trainer's part in one round."""

    trainer: str
    update: str
    dataset: str
    weight: int


class RoundRecord(msgspec.Struct, frozen=True):
    """One round of the lineage."""

    round: int
    attempt: int
    coordinator: str
    base: str
    model: str
    aggregate: str
    transaction: str
    verifiers: tuple[str, ...]
    by_time: bool
    contributions: tuple[Contribution, ...]


class AuditReport(msgspec.Struct, frozen=True):
    """The lineage of one model, and every check made on the way; `sound` when all of them hold."""

    job: int
    model: str
    spec: str
    genesis: str
    client: str
    accepted: bool
    rounds: tuple[RoundRecord, ...]
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        return all(finding.holds for finding in self.findings)

    @property
    def datasets(self) -> dict[str, str]:
        """Salted data-set digest to the trainer that signed it."""
        return {each.dataset: each.trainer for record in self.rounds for each in record.contributions}


def find_model(jobs: Mapping[int, JobState], model: bytes) -> tuple[JobState, int]:
    """The job and final round that ended with this model; ProtocolError when the ledger anchors no such model."""
    for job in jobs.values():
        for number, final in enumerate(job.final, start=1):
            if final.anchor.model == model:
                return job, number
    raise ProtocolError(f"no final round on this ledger ended with model {model.hex()[:16]}; check the digest and the network")


async def audit(
    job: JobState, last: int, get: Get, domain: Domain, account_of: Callable[[Address], Address],
    transactions: Mapping[tuple[int, int], bytes], staleness: int = 0,
) -> AuditReport:  # fmt: skip
    """Check rounds 1 to `last` of a job. `get` fetches and verifies a blob; `transactions`: where each (round, attempt) was anchored;
    `staleness`: for how many rounds an update is good, as an asynchronous job's specification says."""
    findings: list[Finding] = []
    records: list[RoundRecord] = []
    base, credits, pages = job.terms.genesis, dict[Address, Wei](), list[Manifest]()
    for number, final in enumerate(job.final[:last], start=1):
        anchor = final.anchor
        findings.append(Finding(f"round {number} starts from the model before it", anchor.base == base, anchor.base.hex()))
        try:
            page = manifest.read(await get(BlobRef(anchor.manifest, anchor.manifest_size)))
            await get(BlobRef(anchor.model, anchor.model_size))
        except HansaError as error:
            findings.append(Finding(f"blobs of round {number} are served and match their digests", False, str(error)))
            break
        findings.append(Finding(f"blobs of round {number} are served and match their digests", True, anchor.model.hex()))
        then = replace(job, round=number, base=anchor.base)
        findings += _signatures(then, page, domain, account_of, staleness, used_by(pages[len(pages) - staleness :] if staleness else ()))
        pages.append(page)
        root = updates_root(each.statement for each in page.updates)
        findings.append(Finding(f"the updates of round {number} are those anchored", root == anchor.updates, root.hex()))
        credits = add(credits, _shares(job, number, final, page))
        paid = credits_root(job.id, credits) == anchor.credits and credits == page.credit_table()
        findings.append(Finding(f"the credits of round {number} follow from the work", paid, f"{len(credits)} accounts"))
        voters = tuple(seat for place, seat in enumerate(job.verifiers) if final.seats >> place & 1)
        needed = job.one_third() if final.by_time else job.two_thirds()
        findings.append(
            Finding(f"enough verifiers stand behind round {number}", len(voters) >= needed, f"{len(voters)} of {len(job.verifiers)}")
        )
        records.append(_record(number, final, page, voters, transactions.get((number, anchor.attempt), b"")))
        base = anchor.model
    return AuditReport(
        job=job.id, model=base.hex(), spec=job.terms.spec.hex(), genesis=job.terms.genesis.hex(), client=job.client,
        accepted=any(base == model for _, model in job.accepted), rounds=tuple(records), findings=tuple(findings),
    )  # fmt: skip


def _signatures(
    job: JobState, page: Manifest, domain: Domain, account_of: Callable[[Address], Address], staleness: int, used: Used
) -> Sequence[Finding]:
    """Every update is signed by a trainer that had a seat, for this job and a round and base that the job's present round takes."""
    wrong = []
    for accepted in page.updates:
        said = accepted.statement
        try:
            signer = account_of(said.signer_of(domain, accepted.signature))
            check(job, said, staleness, used)
        except HansaError:
            wrong.append(said.trainer)
            continue
        if signer != said.trainer or said.trainer not in job.members(job.round):
            wrong.append(said.trainer)
    return [Finding(f"the {len(page.updates)} updates of round {job.round} are signed by seated trainers", not wrong, ", ".join(wrong))]


def _shares(job: JobState, number: int, final: FinalRound, page: Manifest) -> dict[Address, Wei]:
    milestone, index = divmod(number - 1, job.rounds_per_milestone)
    price = round_price(job.nets[milestone], job.rounds_per_milestone, index)
    trainers = [each.statement.trainer for each in page.updates]
    return earned(price, Address(final.coordinator), trainers, job.terms.coordinator_bps, job.terms.verifier_bps)


def _record(number: int, final: FinalRound, page: Manifest, voters: tuple[str, ...], transaction: bytes) -> RoundRecord:
    anchor = final.anchor
    said = [each.statement for each in page.updates]
    return RoundRecord(
        round=number, attempt=anchor.attempt, coordinator=final.coordinator, base=anchor.base.hex(), model=anchor.model.hex(),
        aggregate=anchor.aggregate.hex(), transaction=transaction.hex(), verifiers=voters, by_time=final.by_time,
        contributions=tuple(Contribution(each.trainer, each.update.hex(), each.dataset.hex(), each.weight) for each in said),
    )  # fmt: skip
