"""The in-memory chain's own powers: empty blocks and reorganisations."""

from __future__ import annotations

import asyncio

import pytest

from hansa.chain import artifacts
from hansa.chain.bindings.hansa_token import HansaToken
from hansa.chain.memory import MemoryLedger
from hansa.core.clock import ManualClock
from hansa.core.errors import LedgerError, Reverted
from hansa.core.ports import Call
from hansa.core.types import ZERO_ADDRESS, Address
from hansa.identity.keys import AccountKey

ALICE, BOB = AccountKey(b"\x01" * 32), AccountKey(b"\x02" * 32)


async def token(ledger: MemoryLedger) -> HansaToken:
    creation = artifacts.load("HansaToken").creation("Hansa", "HANSA", 1000, ALICE.address, 1000, ZERO_ADDRESS)
    return HansaToken(Address((await ledger.send(Call("", creation), ALICE, intent="token")).created))


def test_a_reorganisation_mines_the_same_transactions_in_other_blocks() -> None:
    async def main() -> None:
        ledger = MemoryLedger(ManualClock())
        coin = await token(ledger)
        receipts = [await ledger.send(coin.transfer(BOB.address, 1), ALICE, intent=f"{place}") for place in range(3)]
        before = [await ledger.block(number) for number in range(5)]
        ledger.reorganise(2)
        after = [await ledger.block(number) for number in range((await ledger.head()).number + 1)]
        assert after[:3] == before[:3] and after[3].hash != before[3].hash and len(after) == 6
        assert [block.parent for block in after[1:]] == [block.hash for block in after[:-1]]
        assert await coin.balance_of(BOB.address).read(ledger) == 3
        moved = await ledger.send(coin.transfer(BOB.address, 1), ALICE, intent="2")
        assert moved.transaction == receipts[2].transaction and moved.logs[0].block_hash == after[4].hash
        assert await coin.balance_of(BOB.address).read(ledger) == 3

    asyncio.run(main())


def test_dropped_transactions_may_be_sent_again() -> None:
    async def main() -> None:
        ledger = MemoryLedger(ManualClock())
        coin = await token(ledger)
        await ledger.send(coin.transfer(BOB.address, 5), ALICE, intent="pay")
        ledger.reorganise(1, keep=False)
        assert await coin.balance_of(BOB.address).read(ledger) == 0
        assert (await ledger.head()).number == 3
        assert (await ledger.send(coin.transfer(BOB.address, 5), ALICE, intent="pay")).block == 4
        assert await coin.balance_of(BOB.address).read(ledger) == 5

    asyncio.run(main())


@pytest.mark.parametrize("depth", [0, 5])
def test_there_is_only_so_much_to_reorganise(depth: int) -> None:
    async def main() -> None:
        ledger = MemoryLedger(ManualClock())
        await token(ledger)
        with pytest.raises(LedgerError, match="1 to 1 blocks"):
            ledger.reorganise(depth)

    asyncio.run(main())


def test_an_empty_block_takes_the_clocks_time() -> None:
    clock = ManualClock()
    ledger = MemoryLedger(clock)
    clock.advance(60)
    assert ledger.mine().timestamp == int(clock.now())
    assert asyncio.run(ledger.head()).number == 1


def test_code_that_halts_is_a_refusal() -> None:
    async def main() -> None:
        with pytest.raises(Reverted, match="the chain cannot run"):
            await MemoryLedger(ManualClock()).send(Call("", b"\xfe"), ALICE, intent="bad")

    asyncio.run(main())
