"""The blob behind an anchor: every accepted update with its trainer's signature, the credits, and where the blobs are held (R17)."""

from __future__ import annotations

import msgspec

from hansa.core.encoding import decode, encode
from hansa.core.errors import FormatError
from hansa.core.types import Address, BlobRef, Wei
from hansa.identity.statements import HoldReceipt, UpdateStatement

MAX_MANIFEST = 64 << 20
"""Bytes; a cohort of 100,000 fits."""


class Accepted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One trainer's signed statement about its update."""

    statement: UpdateStatement
    signature: bytes

    @property
    def ref(self) -> BlobRef:
        return BlobRef(self.statement.update, self.statement.size)


class Credit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cumulative earnings of one account; the amount is decimal text because JSON numbers end at 2^53."""

    account: str
    amount: str


class Held(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A holder's signed promise to serve one blob until a time."""

    receipt: HoldReceipt
    holder: str
    signature: bytes


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One round, complete: whoever has this, the update blobs and what the round before left recomputes the anchor.

    `server` is what the strategy's server keeps for the next round, None when it keeps nothing; `left_out` whose updates the rule did not
    use at all.
    """

    job: int
    round: int
    attempt: int
    coordinator: str
    base: BlobRef
    updates: tuple[Accepted, ...]
    aggregate: BlobRef
    model: BlobRef
    credits: tuple[Credit, ...]
    held: tuple[Held, ...] = ()
    server: BlobRef | None = None
    left_out: tuple[str, ...] = ()

    def credit_table(self) -> dict[Address, Wei]:
        return {Address(credit.account): Wei(int(credit.amount)) for credit in self.credits}


def credit_rows(table: dict[Address, Wei]) -> tuple[Credit, ...]:
    return tuple(Credit(account, str(amount)) for account, amount in sorted(table.items()))


def write(manifest: Manifest) -> bytes:
    return encode(manifest)


def read(data: bytes) -> Manifest:
    """Parse and check what needs no keys: sorted unique trainers and accounts, decimal amounts; FormatError otherwise."""
    manifest = decode(data, Manifest, limit=MAX_MANIFEST)
    trainers = [each.statement.trainer for each in manifest.updates]
    accounts = [credit.account for credit in manifest.credits]
    if any(names != sorted(set(names)) for names in (trainers, accounts)):
        raise FormatError("manifest lists trainers or credits twice or out of order; entries are sorted by account")
    if any(not credit.amount.isdecimal() or len(credit.amount) > 78 for credit in manifest.credits):
        raise FormatError("manifest has a credit that is not a decimal amount of at most 78 digits")
    return manifest
