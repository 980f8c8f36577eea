"""A round in miniature: updates of three integers, their exact sum, the next model; what is anchored, and what is recomputed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from hansa.core import merkle
from hansa.core.encoding import sha256
from hansa.core.errors import FormatError
from hansa.core.types import Address, BlobRef, Digest, Judgement, Verdict, Wei
from hansa.identity.statements import UpdateStatement
from hansa.rounds import manifest as manifests
from hansa.rounds.anchor import Anchor
from hansa.rounds.credits import add, credits_root, earned, round_price
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted, Manifest, credit_rows
from hansa.simulation.seal import digest_of, leaf_of, update_seal

Fetch = Callable[[bytes], bytes | None]
"""Bytes by digest, None when nobody who can be reached serves them."""

_FORM = struct.Struct("<3q")
GENESIS = _FORM.pack(0, 0, 0)
NO_ANCHOR = bytes(32)
"""What verifiers sign instead of an anchor whose set of updates cannot be right whatever its sum."""


class Draft(msgspec.Struct, frozen=True):
    """An anchor with the new blobs behind it."""

    anchor: Anchor
    blobs: dict[bytes, bytes]


def train(job: JobState, trainer: str) -> tuple[Accepted, bytes]:
    """The trainer's signed update of the current round: a pure function of who, which round and which model."""
    drawn = sha256(b"|".join((trainer.encode(), str(job.round).encode(), job.base)))
    blob = _FORM.pack(*(int.from_bytes(drawn[4 * i : 4 * i + 4]) - (1 << 31) for i in range(3)))
    statement = UpdateStatement(job.id, job.round, Address(trainer), job.base, sha256(blob), len(blob), 1, bytes(32))
    return Accepted(statement, update_seal(statement)), blob


def assemble(job: JobState, coordinator: str, accepted: Sequence[Accepted], fetch: Fetch) -> Draft | None:
    """Sum the updates, step, pay, and draft the anchor; None while a blob or the earlier credits cannot be had."""
    before = credits_before(job, fetch)
    parts = [fetch(job.base), *(fetch(each.statement.update) for each in accepted)]
    if before is None or any(part is None for part in parts):
        return None
    base, *updates = (_FORM.unpack(part) for part in parts if part is not None)
    aggregate = _FORM.pack(*map(sum, zip(*updates, strict=True)))
    model = _FORM.pack(*map(sum, zip(base, *updates, strict=True)))
    table = _credits(job, coordinator, tuple(each.statement.trainer for each in accepted), before)
    manifest = Manifest(
        job=job.id,
        round=job.round,
        attempt=job.attempt,
        coordinator=coordinator,
        base=BlobRef(job.base, len(GENESIS)),
        updates=tuple(sorted(accepted, key=lambda each: each.statement.trainer)),
        aggregate=BlobRef(sha256(aggregate), len(aggregate)),
        model=BlobRef(sha256(model), len(model)),
        credits=credit_rows(table),
    )
    page = manifests.write(manifest)
    anchor = Anchor(
        job=job.id, round=job.round, attempt=job.attempt, base=job.base, updates=_updates_root(tuple(each.statement for each in accepted)),
        manifest=sha256(page), manifest_size=len(page), aggregate=sha256(aggregate), model=sha256(model), model_size=len(model),
        credits=_credits_root(job.id, tuple(table.items())), accepted=len(accepted),
    )  # fmt: skip
    return Draft(anchor, {sha256(blob): blob for blob in (page, aggregate, model)})


def judge(job: JobState, fetch: Fetch, lodged: Mapping[str, Accepted]) -> Verdict | None:
    """The verdict on the job's current anchor; None while a blob cannot be had. `lodged`: registered updates that this verifier holds."""
    anchor = job.anchor
    page = fetch(anchor.manifest) if anchor is not None else None
    if anchor is None or page is None:
        return None
    try:
        manifest = _read(page)
    except FormatError:
        return Verdict(Judgement.WRONG, NO_ANCHOR)
    named = [anchor.aggregate, anchor.model, job.base, *(each.statement.update for each in manifest.updates)]
    if any(fetch(digest) is None for digest in named):
        return None
    listed = {each.statement.trainer for each in manifest.updates}
    owed = [
        each for trainer, each in lodged.items() if trainer not in listed and job.registered_now().get(trainer) == each.statement.update
    ]
    if job.premature() or not _sound(job, manifest):
        return Verdict(Judgement.WRONG, NO_ANCHOR)
    expected = assemble(job, job.coordinator, (*manifest.updates, *owed), fetch)
    if expected is None:
        return None
    right = replace(expected.anchor, manifest=anchor.manifest, manifest_size=anchor.manifest_size)
    if right == anchor and expected.blobs.keys() >= {anchor.aggregate, anchor.model}:
        return Verdict(Judgement.VALID, Digest(digest_of(anchor)))
    return Verdict(Judgement.WRONG, Digest(digest_of(right)))


def credits_before(job: JobState, fetch: Fetch) -> dict[Address, Wei] | None:
    """Cumulative credits at the start of the current round, from the manifest of the last final one; None when it cannot be had."""
    return credit_table(job.final[-1].anchor, fetch) if job.final else {}


def credit_table(anchor: Anchor, fetch: Fetch) -> dict[Address, Wei] | None:
    """Cumulative credits at the end of an anchored round; None when the manifest cannot be had."""
    page = fetch(anchor.manifest)
    return None if page is None else _read(page).credit_table()


def _sound(job: JobState, manifest: Manifest) -> bool:
    """Whether the updates are of this round, enough, and each signed by its seated trainer."""
    anchor_says = job.anchor.accepted if job.anchor is not None else 0
    of_this = (manifest.job, manifest.round, manifest.attempt, manifest.coordinator) == (job.id, job.round, job.attempt, job.coordinator)
    signed = all(
        each.signature == update_seal(each.statement)
        and each.statement.trainer in job.trainers
        and (each.statement.round, each.statement.base) == (job.round, job.base)
        for each in manifest.updates
    )
    many = anchor_says == len(manifest.updates) >= job.terms.quorum
    return of_this and signed and many


def _credits(job: JobState, coordinator: str, trainers: tuple[Address, ...], before: Mapping[Address, Wei]) -> dict[Address, Wei]:
    milestone, index = divmod(job.round - 1, job.rounds_per_milestone)
    price = round_price(job.nets[milestone], job.rounds_per_milestone, index)
    return add(before, earned(price, Address(coordinator), trainers, job.terms.coordinator_bps, job.terms.verifier_bps))


@lru_cache(maxsize=4096)
def _read(page: bytes) -> Manifest:
    return manifests.read(page)


@lru_cache(maxsize=4096)
def _credits_root(job: int, table: tuple[tuple[Address, Wei], ...]) -> Digest:
    return credits_root(job, dict(table))


@lru_cache(maxsize=4096)
def _updates_root(statements: tuple[UpdateStatement, ...]) -> Digest:
    return merkle.root([leaf_of(statement) for statement in statements])
