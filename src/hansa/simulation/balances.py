"""Money before and after: what everyone owns, what the contracts hold, and whether it all adds up (B0)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from hansa.chain.deployment import Contracts
from hansa.core.errors import LedgerError
from hansa.core.ports import Ledger
from hansa.core.types import Address

_TRIES = 100


class Purse(msgspec.Struct, frozen=True):
    """One account, in the smallest unit: tokens at hand, staked, locked of it, and credits to collect from vault, market and rounds."""

    wallet: int
    staked: int
    locked: int
    vault: int
    market: int
    rounds: int

    @property
    def total(self) -> int:
        """All that is the account's own."""
        return self.wallet + self.staked + self.vault + self.market + self.rounds


class Books(msgspec.Struct, frozen=True):
    """Every account's purse, the balances of the three contracts that hold money, the supply now and as issued."""

    purses: dict[str, Purse]
    vault: int
    market: int
    rounds: int
    supply: int
    issued: int

    @property
    def burnt(self) -> int:
        return self.issued - self.supply

    @property
    def escrow(self) -> int:
        """What the contracts hold that is no account's yet: budgets, bonds, unclaimed pay."""
        owed = sum(purse.total - purse.wallet for purse in self.purses.values())
        return self.vault + self.market + self.rounds - owed

    @property
    def locked(self) -> int:
        return sum(purse.locked for purse in self.purses.values())

    @property
    def conserved(self) -> bool:
        """Issued = burnt + owned + escrow, each contract covering what it owes to every account."""
        purses = self.purses.values()
        covered = (
            self.vault >= sum(each.staked + each.vault for each in purses)
            and self.market >= sum(each.market for each in purses)
            and self.rounds >= sum(each.rounds for each in purses)
        )
        return covered and self.issued == self.burnt + sum(each.total for each in purses) + self.escrow


async def read_books(ledger: Ledger, contracts: Contracts, accounts: Mapping[str, Address], issued: int) -> Books:
    """All figures of one block; `accounts` must be all that ever held tokens, `issued` is the supply at deployment.

    LedgerError when the chain moves on during every one of many tries.
    """
    for _ in range(_TRIES):
        head = await ledger.head()
        books = await _read(ledger, contracts, accounts, issued)
        # What is paid out between two questions would be counted twice or not at all.
        if await ledger.head() == head:
            return books
    raise LedgerError("the chain did not rest while its balances were read; ask again")


async def _read(ledger: Ledger, contracts: Contracts, accounts: Mapping[str, Address], issued: int) -> Books:
    purses = await asyncio.gather(*(_purse(ledger, contracts, account) for account in accounts.values()))
    held = [contracts.vault.address, contracts.market.address, contracts.rounds.address]
    vault, market, rounds = await asyncio.gather(*(contracts.token.balance_of(contract).read(ledger) for contract in held))
    supply = await contracts.token.total_supply().read(ledger)
    return Books(dict(zip(accounts, purses, strict=True)), vault, market, rounds, supply, issued)


async def _purse(ledger: Ledger, contracts: Contracts, account: Address) -> Purse:
    return Purse(
        *await asyncio.gather(
            contracts.token.balance_of(account).read(ledger),
            contracts.vault.staked(account).read(ledger),
            contracts.vault.locked(account).read(ledger),
            contracts.vault.credit(account).read(ledger),
            contracts.market.credit(account).read(ledger),
            contracts.rounds.credit(account).read(ledger),
        )
    )
