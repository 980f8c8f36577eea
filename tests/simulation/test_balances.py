"""Money read from a chain that moves on meanwhile."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hansa.core.errors import LedgerError
from hansa.core.ports import Block
from hansa.simulation.balances import Books, Purse, read_books


class Moving:
    """A chain that mines a block at each of the first `busy` questions for its head; one account's token moves with the fifth block."""

    def __init__(self, busy: int) -> None:
        self.busy, self.number = busy, 0

    async def head(self) -> Block:
        self.number += self.busy > self.number
        return Block(self.number, self.number.to_bytes(4), b"", self.number)

    def amount(self, what: str) -> int:
        return {"wallet": 1, "rounds": 0}[what] if self.number >= 5 else {"wallet": 0, "rounds": 1}[what]


class View:
    """An answer that a contract gives at once, with a block mined in between."""

    def __init__(self, what: str | int) -> None:
        self.what = what

    async def read(self, ledger: Any) -> int:
        if isinstance(self.what, int):
            return self.what
        await ledger.head()
        return int(ledger.amount(self.what))


def contracts() -> Any:
    nothing = lambda *_: View(0)  # noqa: E731
    vault = SimpleNamespace(address="vault", staked=nothing, locked=nothing, credit=nothing)
    token = SimpleNamespace(
        balance_of=lambda who: View({"account": "wallet", "rounds": "rounds"}.get(who, 0)), total_supply=lambda: View(1)
    )
    market, rounds = SimpleNamespace(address="market", credit=nothing), SimpleNamespace(address="rounds", credit=nothing)
    return SimpleNamespace(token=token, vault=vault, market=market, rounds=rounds)


def read(ledger: Moving) -> Books:
    return asyncio.run(read_books(cast(Any, ledger), contracts(), cast(Any, {"one": "account"}), 1))


def test_all_figures_are_of_one_block() -> None:
    books = read(Moving(busy=6))
    assert (books.purses["one"], books.rounds, books.escrow) == (Purse(1, 0, 0, 0, 0, 0), 0, 0)
    assert books.conserved


def test_a_chain_that_never_rests_gives_no_books() -> None:
    with pytest.raises(LedgerError, match="did not rest"):
        read(Moving(busy=1_000_000))
