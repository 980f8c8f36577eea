"""The laws of `Ledger`, over the in-memory chain and over JSON-RPC to an embedded chain, with free gas and with priced gas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from hansa.chain import artifacts
from hansa.chain.bindings.hansa_token import HansaToken
from hansa.chain.embedded import EmbeddedChain
from hansa.chain.ledger import JsonRpcLedger
from hansa.chain.memory import MemoryLedger
from hansa.core.clock import ManualClock
from hansa.core.errors import FormatError, LedgerError, Reverted
from hansa.core.ports import Call, Ledger
from hansa.core.types import ZERO_ADDRESS, Address
from hansa.identity.keys import AccountKey
from hansa.runtime.journal import MemoryJournal

ALICE, BOB = AccountKey(b"\x01" * 32), AccountKey(b"\x02" * 32)
SUPPLY = 1_000_000
GWEI = 10**9


class World(NamedTuple):
    ledger: Ledger
    clock: ManualClock

    async def token(self) -> HansaToken:
        creation = artifacts.load("HansaToken").creation("Hansa", "HANSA", SUPPLY, ALICE.address, SUPPLY, ZERO_ADDRESS)
        return HansaToken(Address((await self.ledger.send(Call("", creation), ALICE, intent="token")).created))


Law = Callable[[World], Awaitable[None]]


@asynccontextmanager
async def world(kind: str, home: Path) -> AsyncIterator[World]:
    clock = ManualClock()
    if kind == "memory":
        yield World(MemoryLedger(clock), clock)
        return
    price = GWEI if kind == "json-rpc, gas priced" else 0
    funds = ((ALICE.address, 10**20), (BOB.address, 10**20)) if price else ()
    chain = await EmbeddedChain.open(home, base_fee=price, funds=funds, clock=clock)
    try:
        ledger = await JsonRpcLedger.open([chain.url], MemoryJournal())
        yield World(ledger, clock)
        await ledger.close()
    finally:
        await chain.close()


@pytest.fixture(params=["memory", "json-rpc", "json-rpc, gas priced"])
def hold(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Law], None]:
    def run(law: Law) -> None:
        async def main() -> None:
            async with world(request.param, tmp_path) as opened:
                await law(opened)

        asyncio.run(main())

    return run


Hold = Callable[[Law], None]


def test_blocks_chain_to_their_parents(hold: Hold) -> None:
    async def law(world: World) -> None:
        token = await world.token()
        for number in range(3):
            await world.ledger.send(token.transfer(BOB.address, 1), ALICE, intent=f"{number}")
        head = await world.ledger.head()
        blocks = [await world.ledger.block(number) for number in range(head.number + 1)]
        assert head == blocks[-1] and head.number == 4
        assert [block.parent for block in blocks[1:]] == [block.hash for block in blocks[:-1]]
        with pytest.raises(LedgerError, match="no block 5"):
            await world.ledger.block(5)

    hold(law)


def test_block_time_is_the_clocks_and_may_stand_still(hold: Hold) -> None:
    async def law(world: World) -> None:
        token = await world.token()
        for number, step in enumerate((0, 0, 3600)):
            world.clock.advance(step)
            receipt = await world.ledger.send(token.transfer(BOB.address, 1), ALICE, intent=f"{number}")
            assert (await world.ledger.block(receipt.block)).timestamp == int(world.clock.now())

    hold(law)


def test_what_is_due_by_the_clock_is_not_refused_for_the_last_blocks_age(hold: Hold) -> None:
    async def law(world: World) -> None:
        due = int(world.clock.now()) + 3600
        # Reverts before `due`: TIMESTAMP, PUSH5 due, GT, PUSH1 12, JUMPI, STOP, JUMPDEST, PUSH0, PUSH0, REVERT.
        code = b"\x42\x64" + due.to_bytes(5, "big") + b"\x11\x60\x0c\x57\x00\x5b\x5f\x5f\xfd"
        creation = bytes([0x60, len(code), 0x60, 0x0C, 0x60, 0, 0x39, 0x60, len(code), 0x60, 0, 0xF3]) + code
        made = await world.ledger.send(Call("", creation), ALICE, intent="make")
        with pytest.raises(Reverted):
            await world.ledger.send(Call(made.created, b""), ALICE, intent="early")
        world.clock.advance(3600)
        assert (await world.ledger.send(Call(made.created, b""), ALICE, intent="early")).block == made.block + 1

    hold(law)


def test_an_intent_happens_once(hold: Hold) -> None:
    async def law(world: World) -> None:
        token = await world.token()
        first = await world.ledger.send(token.transfer(BOB.address, 5), ALICE, intent="pay")
        again = await world.ledger.send(token.transfer(BOB.address, 5), ALICE, intent="pay")
        assert again == first
        assert await token.balance_of(BOB.address).read(world.ledger) == 5
        await world.ledger.send(token.transfer(ALICE.address, 2), BOB, intent="pay")  # another signer's intent is another
        assert await token.balance_of(BOB.address).read(world.ledger) == 3

    hold(law)


def test_one_intent_from_many_tasks_happens_once(hold: Hold) -> None:
    async def law(world: World) -> None:
        token = await world.token()
        receipts = await asyncio.gather(*[world.ledger.send(token.transfer(BOB.address, 5), ALICE, intent="pay") for _ in range(10)])
        assert len(set(receipt.transaction for receipt in receipts)) == 1
        assert await token.balance_of(BOB.address).read(world.ledger) == 5

    hold(law)


def test_many_tasks_share_a_key(hold: Hold) -> None:
    async def law(world: World) -> None:
        token = await world.token()
        sends = [world.ledger.send(token.transfer(BOB.address, 1), ALICE, intent=f"pay {number}") for number in range(30)]
        receipts = await asyncio.gather(*sends)
        assert len({receipt.transaction for receipt in receipts}) == 30
        assert await token.balance_of(BOB.address).read(world.ledger) == 30

    hold(law)


@pytest.mark.parametrize("gas", [0, 200_000])
def test_a_refusal_names_the_custom_error_and_may_be_tried_again(hold: Hold, gas: int) -> None:
    async def law(world: World) -> None:
        token = await world.token()
        call = msgspec.structs.replace(token.transfer(ALICE.address, 7), gas=gas)
        with pytest.raises(
            Reverted, match=r"refused transfer: ERC20InsufficientBalance\(sender = 0x.*, balance = 0, needed = 7\)"
        ) as caught:
            await world.ledger.send(call, BOB, intent="back")
        assert caught.value.error == "ERC20InsufficientBalance"
        assert caught.value.arguments == (BOB.address, 0, 7)
        await world.ledger.send(token.transfer(BOB.address, 7), ALICE, intent="forth")
        first = await world.ledger.send(call, BOB, intent="back")
        assert await world.ledger.send(call, BOB, intent="back") == first
        assert await token.balance_of(BOB.address).read(world.ledger) == 0

    hold(law)


def test_reads_see_the_sender_and_are_refused_in_words(hold: Hold) -> None:
    async def law(world: World) -> None:
        token = await world.token()
        answer = await world.ledger.call(token.transfer(BOB.address, 1), sender=ALICE.address)
        assert int.from_bytes(answer, "big") == 1
        assert await token.balance_of(BOB.address).read(world.ledger) == 0  # a read changes nothing
        with pytest.raises(Reverted, match="ERC20InsufficientBalance"):
            await world.ledger.call(token.transfer(ALICE.address, 1), sender=BOB.address)

    hold(law)


def test_where_no_contract_lives_a_view_says_so(hold: Hold) -> None:
    async def law(world: World) -> None:
        nowhere = HansaToken(BOB.address)
        assert await world.ledger.call(nowhere.total_supply().call) == b""
        with pytest.raises(FormatError):
            await nowhere.total_supply().read(world.ledger)

    hold(law)


def test_a_read_without_target_returns_the_code_it_would_make(hold: Hold) -> None:
    async def law(world: World) -> None:
        program = bytes.fromhex("602a60005260206000f3")  # returns the word 42
        assert await world.ledger.call(Call("", program)) == (42).to_bytes(32, "big")

    hold(law)


def test_logs_come_in_chain_order_and_only_what_was_asked(hold: Hold) -> None:
    async def law(world: World) -> None:
        token = await world.token()
        receipts = [await world.ledger.send(token.transfer(BOB.address, value), ALICE, intent=f"{value}") for value in (3, 1, 2)]
        logs = await world.ledger.logs([token.address], receipts[0].block, receipts[-1].block)
        assert [int.from_bytes(log.data, "big") for log in logs] == [3, 1, 2]
        assert logs == [log for receipt in receipts for log in receipt.logs]
        assert [log.block_hash for log in logs] == [(await world.ledger.block(log.block)).hash for log in logs]
        assert await world.ledger.logs([token.address], receipts[1].block, receipts[1].block) == list(receipts[1].logs)
        assert await world.ledger.logs([BOB.address], 0, receipts[-1].block) == []
        assert await world.ledger.logs([], 0, receipts[-1].block) == []

    hold(law)


def test_waiting_ends_with_the_next_block(hold: Hold) -> None:
    async def law(world: World) -> None:
        token = await world.token()
        head = await world.ledger.head()
        await world.ledger.next_block(head.number - 1, 60.0)  # is there already
        waiting = [asyncio.create_task(world.ledger.next_block(head.number, 60.0)) for _ in range(3)]
        done, _ = await asyncio.wait(waiting, timeout=0.05)
        assert not done
        await world.ledger.send(token.transfer(BOB.address, 1), ALICE, intent="pay")
        async with asyncio.timeout(10.0):
            await asyncio.gather(*waiting)
        assert (await world.ledger.head()).number == head.number + 1

    hold(law)


def test_waiting_ends_with_the_time_given(hold: Hold) -> None:
    async def law(world: World) -> None:
        head = await world.ledger.head()
        async with asyncio.timeout(10.0):
            await world.ledger.next_block(head.number, 0.02)
            await world.ledger.next_block(head.number, 0.0)
            await world.ledger.next_block(head.number + 5, 0.02)
        assert await world.ledger.head() == head

    hold(law)


def test_a_receipt_is_found_by_its_transaction(hold: Hold) -> None:
    async def law(world: World) -> None:
        token = await world.token()
        sent = await world.ledger.send(token.transfer(BOB.address, 1), ALICE, intent="pay")
        await world.ledger.send(token.transfer(BOB.address, 1), ALICE, intent="pay again")
        assert await world.ledger.receipt(sent.transaction) == sent
        assert await world.ledger.receipt(b"\x07" * 32) is None

    hold(law)
