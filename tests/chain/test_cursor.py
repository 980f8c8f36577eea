"""Following a chain: bounded reads, reorganisations, crashes of the reader, and the check against state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.chain import artifacts, cursor
from hansa.chain.bindings.hansa_token import HansaToken
from hansa.chain.cursor import Cursor, Discrepancy, Fact, Position, Rollback
from hansa.chain.events import Event
from hansa.chain.memory import MemoryLedger
from hansa.core.clock import ManualClock
from hansa.core.errors import LedgerUnreachable
from hansa.core.ports import Block, Call, Log
from hansa.core.types import ZERO_ADDRESS, Address
from hansa.identity.keys import AccountKey

ALICE, BOB = AccountKey(b"\x01" * 32), AccountKey(b"\x02" * 32)


class Reader:
    """Keeps a balance by folding transfers, as any role folds its events; `position` is what it would have on disk."""

    def __init__(self, events: Cursor) -> None:
        self._cursor = events
        self.position: Position | None = None
        self.seen: list[Event] = []
        self.rollbacks: list[int] = []

    async def read(self) -> int:
        found, self.position = await self._cursor.read(self.position)
        for one in found:
            if isinstance(one, Rollback):
                self.rollbacks.append(one.to_block)
                self.seen = [event for event in self.seen if event.block <= one.to_block]
            else:
                self.seen.append(one)
        return len(found)

    async def catch_up(self) -> None:
        for _ in range(100):
            before = self.position
            await self.read()
            if before == self.position:
                return
        raise AssertionError("never caught up")

    @property
    def balance(self) -> int:
        return sum(int(str(event.args["value"])) for event in self.seen if event.args["to"] == BOB.address)


class World:
    def __init__(self) -> None:
        self.ledger = MemoryLedger(ManualClock())
        self.number = 0

    async def token(self) -> HansaToken:
        creation = artifacts.load("HansaToken").creation("Hansa", "HANSA", 1000, ALICE.address, 1000, ZERO_ADDRESS)
        self.coin = HansaToken(Address((await self.ledger.send(Call("", creation), ALICE, intent="token")).created))
        return self.coin

    async def pay(self, amount: int) -> None:
        self.number += 1
        await self.ledger.send(self.coin.transfer(BOB.address, amount), ALICE, intent=f"{self.number}")

    def cursor(self, span: int = 2_000) -> Cursor:
        return Cursor(self.ledger, {self.coin.address: "HansaToken"}, first_block=1, span=span)

    async def balance(self) -> int:
        return await self.coin.balance_of(BOB.address).read(self.ledger)


def run(work: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World()
        await world.token()
        await work(world)

    asyncio.run(main())


def test_events_come_in_order_with_their_blocks_time_and_only_once() -> None:
    async def work(world: World) -> None:
        for amount in (1, 2, 3):
            await world.pay(amount)
        reader = Reader(world.cursor())
        assert await reader.read() == 4
        assert [event.args["value"] for event in reader.seen] == [1000, 1, 2, 3]
        assert [event.timestamp for event in reader.seen] == [1_700_000_000] * 4
        assert await reader.read() == 0 and reader.rollbacks == []

    run(work)


def test_a_read_spans_no_more_blocks_than_allowed() -> None:
    async def work(world: World) -> None:
        for amount in range(1, 8):
            await world.pay(amount)
        reader = Reader(world.cursor(span=3))
        assert [await reader.read() for _ in range(4)] == [3, 3, 2, 0]
        assert reader.balance == await world.balance()

    run(work)


@pytest.mark.parametrize("keep", [True, False])
def test_a_reorganisation_takes_back_exactly_what_was_replaced(keep: bool) -> None:
    async def work(world: World) -> None:
        reader = Reader(world.cursor())
        for amount in (1, 2, 3, 4):
            await world.pay(amount)
            await reader.read()
        world.ledger.reorganise(2, keep=keep)
        await reader.catch_up()
        assert reader.rollbacks == [3]
        assert reader.balance == await world.balance() == (10 if keep else 3)

    run(work)


def test_a_reorganisation_below_all_that_is_remembered_starts_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor, "_KEPT", 2)

    async def work(world: World) -> None:
        reader = Reader(world.cursor())
        for amount in (1, 2, 3, 4, 5):
            await world.pay(amount)
            await reader.read()
        world.ledger.reorganise(4, keep=False)
        await reader.catch_up()
        assert reader.rollbacks == [0] and reader.balance == await world.balance() == 1

    run(work)


def test_a_position_survives_as_bytes() -> None:
    async def work(world: World) -> None:
        reader = Reader(world.cursor(span=2))
        for amount in (1, 2, 3):
            await world.pay(amount)
        await reader.read()
        stored = msgspec.msgpack.encode(reader.position)
        again = Reader(world.cursor())
        again.position = msgspec.msgpack.decode(stored, type=Position)
        assert await again.read() == 2

    run(work)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.tuples(st.just("pay"), st.integers(1, 3)), st.tuples(st.just("reorg"), st.integers(1, 6)), st.just(("read", 0))))
)
def test_after_any_history_the_fold_equals_the_state(steps: list[tuple[str, int]]) -> None:
    async def work(world: World) -> None:
        reader = Reader(world.cursor(span=3))
        for number, (what, size) in enumerate(steps):
            if what == "pay":
                await world.pay(size)
            elif what == "reorg":
                # The block of the token's creation stays, or there would be no contract to follow.
                depth = min(size, (await world.ledger.head()).number - 1)
                if depth > 0:
                    world.ledger.reorganise(depth, keep=number % 2 == 0)
            else:
                await reader.read()
        await reader.catch_up()
        assert reader.balance == await world.balance()
        places = [(event.block, event.index) for event in reader.seen]
        assert places == sorted(set(places))
        for event in reader.seen:
            assert event.block_hash == (await world.ledger.block(event.block)).hash

    run(work)


def test_an_endpoint_that_lags_is_no_reorganisation() -> None:
    async def work(world: World) -> None:
        reader = Reader(world.cursor())
        for amount in (1, 2, 3):
            await world.pay(amount)
            await reader.read()
        real = world.ledger.head

        async def behind() -> Block:
            return await world.ledger.block(2)

        world.ledger.head = behind  # type: ignore[method-assign]
        assert await reader.read() == 0 and reader.rollbacks == []
        world.ledger.head = real  # type: ignore[method-assign]
        await world.pay(4)
        assert await reader.read() == 1 and reader.balance == 10

    run(work)


def test_a_reorganisation_in_the_middle_of_a_read_gives_nothing_mixed() -> None:
    async def work(world: World) -> None:
        reader = Reader(world.cursor())
        for amount in (1, 2, 3):
            await world.pay(amount)
        real = world.ledger.logs

        async def late(addresses: list[Address], first: int, last: int) -> list[Log]:
            found = await real(addresses, first, last)
            world.ledger.logs = real  # type: ignore[method-assign]
            world.ledger.reorganise(2, keep=False)
            return found

        world.ledger.logs = late  # type: ignore[assignment, method-assign]
        assert await reader.read() == 0
        await reader.catch_up()
        assert reader.balance == await world.balance() == 1

    run(work)


def test_an_outage_is_an_error_and_never_a_rollback() -> None:
    async def work(world: World) -> None:
        reader = Reader(world.cursor())
        await world.pay(1)
        await reader.read()
        await world.pay(1)
        await world.pay(1)  # a single block may be proved by its own logs

        async def gone(number: int) -> Block:
            raise LedgerUnreachable("gone")

        real, world.ledger.block = world.ledger.block, gone  # type: ignore[method-assign]
        with pytest.raises(LedgerUnreachable):
            await reader.read()
        world.ledger.block = real  # type: ignore[method-assign]
        await reader.read()
        assert reader.balance == 3 and reader.rollbacks == []

    run(work)


def test_a_fold_that_missed_something_is_found_out() -> None:
    async def work(world: World) -> None:
        events = world.cursor()
        await world.pay(5)
        _, position = await events.read()
        view = world.coin.balance_of(BOB.address)
        assert await events.discrepancies(position, [Fact("balance", view, 5)]) == []
        assert await events.discrepancies(position, [Fact("balance", view, 4)]) == [Discrepancy("balance", 4, 5)]
        await world.pay(1)  # the chain has moved on: the comparison would be between two times
        assert await events.discrepancies(position, [Fact("balance", view, 4)]) == []

    run(work)
