"""Sends that crash anywhere: after every restart the intent has happened once, with the bytes that were journalled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from hansa.chain.embedded import EmbeddedChain
from hansa.chain.endpoints import Endpoints
from hansa.chain.nonces import Nonces
from hansa.chain.sender import Sender
from hansa.chain.transactions import Fees, Signed, Transaction, sign
from hansa.chain.wire import RpcError
from hansa.core.clock import ManualClock
from hansa.core.errors import LedgerError, LedgerUnreachable, StorageError
from hansa.core.ports import Call
from hansa.core.types import ZERO_ADDRESS, Address
from hansa.identity.keys import AccountKey
from hansa.runtime.journal import MemoryJournal

T = TypeVar("T")

ALICE, BOB = AccountKey(b"\x01" * 32), AccountKey(b"\x02" * 32)
GENESIS = b"\x11" * 32
PAY = Call(BOB.address, b"", gas=21_000)


class Crash(BaseException):
    """The process ends here."""


class Faulty(Endpoints):
    """Runs `fault(method, before)` before and after each request; what it raises happens to the caller."""

    fault: Callable[[str, bool], None] = staticmethod(lambda method, before: None)
    hidden: frozenset[str] = frozenset()

    async def request(self, method: str, params: object, shape: type[T], *, timeout: float | None = None) -> T:
        self.fault(method, True)
        if method in self.hidden:
            raise RpcError(-32601, f"no {method}")
        found = await super().request(method, params, shape, timeout=timeout)
        self.fault(method, False)
        return found


@asynccontextmanager
async def faulty(home: Path, base_fee: int = 0) -> AsyncIterator[tuple[EmbeddedChain, Faulty]]:
    funds = tuple((key.address, 10**20) for key in (ALICE, BOB)) if base_fee else ()
    chain = await EmbeddedChain.open(home, clock=ManualClock(), base_fee=base_fee, funds=funds)
    try:
        endpoints = await Faulty.open([chain.url])
        assert isinstance(endpoints, Faulty)
        yield chain, endpoints
        await endpoints.close()
    finally:
        await chain.close()


def signed(nonce: int, fees: Fees) -> Signed:
    return sign(Transaction(31337, nonce, BOB.address, b"", 21_000, fees), ALICE)


async def count(endpoints: Endpoints, account: Address) -> int:
    return int(await endpoints.request("eth_getTransactionCount", (account, "latest"), str), 16)


@pytest.mark.parametrize("hidden", [frozenset[str](), frozenset({"hansa_sendRawTransaction"})])
def test_a_crash_at_any_request_is_survived(tmp_path: Path, hidden: frozenset[str]) -> None:
    """Crash before and after the first, second, ... request until a send gets through without one; each key starts anew."""

    async def main() -> None:
        async with faulty(tmp_path) as (_, endpoints):
            endpoints.hidden = hidden
            crashed = True
            for number in range(100):
                if not crashed:
                    break
                key, journal, crashed, left = AccountKey(bytes([number + 1]) * 32), MemoryJournal(), False, number

                def fault(method: str, before: bool) -> None:
                    nonlocal left
                    left -= 1
                    if left < 0:
                        raise Crash

                endpoints.fault = fault
                try:
                    await Sender(endpoints, Nonces(journal, GENESIS))._send(PAY, key, "pay")
                except Crash:
                    crashed = True
                endpoints.fault = lambda method, before: None
                journalled = [entry.record for entry in journal.read() if entry.kind == "chain.sent"]
                sender = Sender(endpoints, Nonces(journal, GENESIS))
                receipt = await sender.send(PAY, key, "pay")
                assert await sender.send(PAY, key, "pay") == receipt
                assert await count(endpoints, key.address) == 1
                again = [entry.record for entry in journal.read() if entry.kind == "chain.sent"]
                assert len(again) == 1 and (journalled in ([], again))  # never signed twice
            assert number > 8

    asyncio.run(main())


def test_bytes_journalled_but_never_sent_go_out_at_the_restart_in_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with faulty(tmp_path) as (_, endpoints):
            journal = MemoryJournal()
            before = Nonces(journal, GENESIS)
            for place in range(3):  # the process died right after journalling three
                before.take(ALICE.address, f"{place}", Fees(0), lambda nonce: signed(nonce, Fees(0)))
            sender = Sender(endpoints, Nonces(journal, GENESIS))
            assert (await sender.send(PAY, ALICE, "new")).block == 4
            assert await count(endpoints, ALICE.address) == 4
            assert (await sender.send(PAY, ALICE, "1")).block == 2

    asyncio.run(main())


def test_an_outage_on_the_way_is_waited_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with faulty(tmp_path) as (_, endpoints):
            sender = Sender(endpoints, Nonces(MemoryJournal(), GENESIS))
            await sender.send(PAY, ALICE, "first")
            outages = 4

            def fault(method: str, before: bool) -> None:
                nonlocal outages
                if outages and not before:
                    outages -= 1
                    raise LedgerUnreachable("gone")

            endpoints.fault = fault
            assert (await sender.send(PAY, ALICE, "pay")).block == 2
            assert outages == 0 and await count(endpoints, ALICE.address) == 2

    asyncio.run(main())


def test_an_outage_before_anything_is_journalled_is_said_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with faulty(tmp_path) as (_, endpoints):

            def fault(method: str, before: bool) -> None:
                raise LedgerUnreachable("gone")

            endpoints.fault = fault
            journal = MemoryJournal()
            with pytest.raises(LedgerUnreachable):
                await Sender(endpoints, Nonces(journal, GENESIS)).send(PAY, ALICE, "pay")
            assert [entry.kind for entry in journal.read()] == ["chain.genesis"]

    asyncio.run(main())


def test_an_outage_longer_than_patience_is_said_and_the_intent_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with faulty(tmp_path) as (_, endpoints):
            journal = MemoryJournal()
            sender = Sender(endpoints, Nonces(journal, GENESIS), patience=0.05)
            await sender.send(PAY, ALICE, "first")

            def fault(method: str, before: bool) -> None:
                raise LedgerUnreachable("gone")

            endpoints.fault = fault
            with pytest.raises(LedgerUnreachable):
                await sender.send(PAY, ALICE, "pay")
            endpoints.fault = lambda method, before: None
            assert (await Sender(endpoints, Nonces(journal, GENESIS)).send(PAY, ALICE, "pay")).block == 2
            assert await count(endpoints, ALICE.address) == 2

    asyncio.run(main())


def test_a_nonce_used_elsewhere_moves_the_intent_to_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        async with faulty(tmp_path) as (chain, endpoints):
            sender = Sender(endpoints, Nonces(MemoryJournal(), GENESIS))
            await sender.send(PAY, ALICE, "first")
            stranger = sign(Transaction(endpoints.chain_id, 1, ZERO_ADDRESS, b"", 21_000), ALICE)
            await chain.miner.submit(stranger.raw)  # the same key in another process
            receipt = await sender.send(PAY, ALICE, "second")
            assert receipt.block == 3 and await count(endpoints, ALICE.address) == 3
            assert await sender.send(PAY, ALICE, "second") == receipt

    asyncio.run(main())


def test_a_gap_below_is_filled(tmp_path: Path) -> None:
    async def main() -> None:
        async with faulty(tmp_path) as (_, endpoints):
            nonces = Nonces(MemoryJournal(), GENESIS)
            nonces.raise_to(ALICE.address, 2)  # as if the chain had once counted two more, and lost them
            endpoints.hidden = frozenset({"hansa_sendRawTransaction"})
            receipt = await Sender(endpoints, nonces).send(PAY, ALICE, "pay")
            assert await count(endpoints, ALICE.address) == 3
            assert receipt.block == 3 or receipt.block == 2

    asyncio.run(main())


def test_a_refusal_for_good_is_said_and_frees_the_nonce(tmp_path: Path) -> None:
    async def main() -> None:
        async with faulty(tmp_path) as (_, endpoints):
            sender = Sender(endpoints, Nonces(MemoryJournal(), GENESIS))
            with pytest.raises(LedgerError, match="the chain refused a transaction of .*: intrinsic gas too low"):
                await sender.send(Call(BOB.address, b"", gas=100), ALICE, "pay")
            assert (await sender.send(PAY, ALICE, "other")).block == 1
            assert (await sender.send(PAY, ALICE, "pay")).block == 2

    asyncio.run(main())


def test_a_full_journal_sends_nothing(tmp_path: Path) -> None:
    class Full(MemoryJournal):
        def append(self, kind: str, record: bytes) -> int:
            if kind == "chain.sent":
                raise StorageError("the disk is full")
            return super().append(kind, record)

    async def main() -> None:
        async with faulty(tmp_path) as (_, endpoints):
            with pytest.raises(StorageError, match="full"):
                await Sender(endpoints, Nonces(Full(), GENESIS)).send(PAY, ALICE, "pay")
            assert await count(endpoints, ALICE.address) == 0

    asyncio.run(main())


def test_many_keys_and_tasks_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with faulty(tmp_path) as (_, endpoints):
            sender = Sender(endpoints, Nonces(MemoryJournal(), GENESIS))
            keys = [AccountKey(bytes([number + 1]) * 32) for number in range(8)]
            await asyncio.gather(*[sender.send(PAY, key, f"{place}") for place in range(25) for key in keys])
            assert [await count(endpoints, key.address) for key in keys] == [25] * 8

    asyncio.run(main())


def test_a_price_that_fell_behind_is_raised_under_the_same_nonce(tmp_path: Path) -> None:
    async def main() -> None:
        async with faulty(tmp_path, base_fee=10**9) as (_, endpoints):
            journal = MemoryJournal()
            nonces = Nonces(journal, GENESIS)
            low = Fees(10**8, 1)  # from a time when gas cost a tenth
            nonces.take(ALICE.address, "pay", low, lambda nonce: signed(nonce, low))
            endpoints.hidden = frozenset({"hansa_sendRawTransaction"})
            sender = Sender(endpoints, Nonces(journal, GENESIS), patience=20)
            receipt = await sender.send(PAY, ALICE, "pay")
            carried = Nonces(journal, GENESIS).of(ALICE.address, "pay")
            assert carried is not None and carried.nonce == 0 and len(carried.hashes) == 2
            assert receipt.transaction == carried.hashes[1] and await count(endpoints, ALICE.address) == 1

    asyncio.run(main())
