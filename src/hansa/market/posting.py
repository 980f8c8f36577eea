"""Posting a federated job: one kernel job per milestone, all funded, then opened under its terms (R6)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hansa.chain.bindings import structs
from hansa.chain.deployment import Contracts
from hansa.chain.events import Decoder
from hansa.core.encoding import canonical
from hansa.core.errors import ConfigError, LedgerError
from hansa.core.ports import Ledger, Signer
from hansa.core.types import Address, BlobRef
from hansa.market.terms import check_terms

LONGEST_DISPUTE = 8
"""Windows after the deadline within which every anchor, challenge and settlement has ended; the contract asks for less."""


class Posting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The description of a kernel job: where its milestone's specification is (hexadecimal digest, bytes, first holders)."""

    spec: str
    size: int
    milestone: int
    holders: tuple[str, ...]


async def post(
    ledger: Ledger, contracts: Contracts, signer: Signer, spec: BlobRef, holders: Sequence[Address], terms: structs.Terms,
    budgets: Sequence[int], *, intent: str, resumed: bool = False,
) -> int:  # fmt: skip
    """Fund and open; returns the job's id. The same `intent` posts once, ever.

    ConfigError when the budgets do not fit the milestones or lie above the balance, or a term is out of bounds: nothing was sent then. A
    posting that is `resumed` after a crash is not checked again: its budget may have left the account already.
    """
    if len(budgets) != terms.milestones or any(budget <= 0 for budget in budgets):
        raise ConfigError(f"{len(budgets)} budgets for {terms.milestones} milestones; give one positive amount for each")
    total = sum(budgets)
    if not resumed:
        await _check(ledger, contracts, signer.address, terms, total)
    allowance = await contracts.token.allowance(signer.address, contracts.market.address).read(ledger)
    if allowance < total:
        await ledger.send(contracts.token.approve(contracts.market.address, total), signer, intent=f"{intent}/approve")
    descriptions = [
        canonical(Posting(spec.digest.hex(), spec.size, milestone, tuple(holders))).decode() for milestone in range(terms.milestones)
    ]
    expires = terms.deadline + LONGEST_DISPUTE * terms.window
    rounds = contracts.rounds.address
    created = await ledger.send(
        contracts.market.create_funded(rounds, rounds, expires, tuple(descriptions), tuple(budgets)), signer, intent=f"{intent}/fund"
    )
    decoder = Decoder({contracts.market.address: "JobMarket"})
    numbers = [int(str(event.args["job_id"])) for each in created.logs if (event := decoder.decode(each)) and event.name == "JobFunded"]
    if not numbers:
        raise LedgerError("the market funded no job; look at the transaction " + created.transaction.hex())
    await ledger.send(contracts.rounds.open(min(numbers), terms), signer, intent=f"{intent}/open")
    return min(numbers)


async def _check(ledger: Ledger, contracts: Contracts, client: Address, terms: structs.Terms, total: int) -> None:
    now, balance = await contracts.clock.time().read(ledger), await contracts.token.balance_of(client).read(ledger)
    check_terms(terms, now)
    if total > balance:
        raise ConfigError(f"the budget of {total} is above the balance of {balance}; lower it or get tokens first")


async def nets(ledger: Ledger, contracts: Contracts, first: int, milestones: int) -> tuple[int, ...]:
    """What each milestone's kernel job pays after the market's fee."""
    found = []
    for kernel in range(first, first + milestones):
        record = await contracts.market.get_job(kernel).read(ledger)
        found.append(await contracts.market.net_of(record.budget).read(ledger))
    return tuple(found)
