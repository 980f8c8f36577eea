"""Reading events in order, also over reorganisations and crashes: the reader keeps a position, the cursor keeps nothing.

What `read` returns and the position that belongs to it are stored together by the reader; after a crash it goes on from the position it
stored. When blocks it has seen are gone, it is first told to forget everything above a block, and then gets the events that replaced them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from hansa.chain.abi import View
from hansa.chain.events import Decoder, Event
from hansa.core.ports import Block, Ledger
from hansa.core.types import Address

_KEPT = 128


class Rollback(msgspec.Struct, frozen=True):
    """Forget all events of blocks above this one: the chain has replaced them."""

    to_block: int


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a reader stands: the block it needs next, and the (number, hash) of the last ones it read, oldest first."""

    next: int
    recent: tuple[tuple[int, bytes], ...] = ()


class Fact(NamedTuple):
    """A value folded from events, and the view that says what it should be."""

    what: str
    view: View[Any]
    folded: object


class Discrepancy(NamedTuple):
    what: str
    folded: object
    actual: object


class Cursor:
    """Over the contracts at the given addresses, from the block of their deployment, at most `span` blocks a read."""

    def __init__(self, ledger: Ledger, contracts: Mapping[Address, str], *, first_block: int = 0, span: int = 2_000) -> None:
        self._ledger, self._decoder, self._first, self._span = ledger, Decoder(contracts), first_block, span

    async def read(self, position: Position | None = None) -> tuple[tuple[Rollback | Event, ...], Position]:
        """What happened since `position` (None: from the start), and the position after it; nothing new gives the same position back.

        LedgerError while the chain cannot be read or is just changing; ask again.
        """
        position = position or Position(self._first)
        head = await self._ledger.head()
        if position.recent and position.recent[-1] == (head.number, head.hash):
            return (), position
        if (next_one := await self._next(position, head)) is not None:
            return next_one, Position(head.number + 1, (*position.recent, (head.number, head.hash))[-_KEPT:])
        common = await self._common(position, head)
        found: tuple[Rollback | Event, ...] = () if common == position else (Rollback(common.next - 1),)
        last = min(head.number, common.next + self._span - 1)
        if last < common.next:
            return found, common
        end = head if last == head.number else await self._ledger.block(last)
        logs = await self._ledger.logs(self._decoder.addresses, common.next, last)
        headers = {last: end, **{number: await self._ledger.block(number) for number in {log.block for log in logs} - {last}}}
        # The hash of the last block commits to all before it: unchanged, and joined to what was read before, it proves one single history.
        if await self._hash(last) != end.hash or not await self._joined(common, end):
            return found, common
        events = [self._decoder.decode(log, headers[log.block].timestamp) for log in logs]
        read = (*found, *[event for event in events if event is not None])
        return read, Position(last + 1, (*common.recent, (last, end.hash))[-_KEPT:])

    async def _next(self, position: Position, head: Block) -> tuple[Event, ...] | None:
        """The events of a head that stands on the last block read, where its own logs name it: one look instead of four; else None."""
        if not position.recent or (position.next - 1, head.parent) != position.recent[-1] or head.number != position.next:
            return None
        logs = await self._ledger.logs(self._decoder.addresses, head.number, head.number)
        if not logs or any(log.block_hash != head.hash for log in logs):
            return None
        events = [self._decoder.decode(log, head.timestamp) for log in logs]
        return tuple([event for event in events if event is not None])

    async def wait(self, position: Position, timeout: float) -> None:
        """Until there may be something to read after `position`, at most `timeout` seconds."""
        await self._ledger.next_block(position.next - 1, timeout)

    async def discrepancies(self, position: Position, facts: Sequence[Fact]) -> list[Discrepancy]:
        """Facts whose view answers something else; none unless the chain stands at `position` all the while, so ask when caught up."""
        if not position.recent or (await self._ledger.head()).hash != position.recent[-1][1]:
            return []
        found = []
        for what, view, folded in facts:
            actual = await view.read(self._ledger)
            if actual != folded:
                found.append(Discrepancy(what, folded, actual))
        return found if (await self._ledger.head()).hash == position.recent[-1][1] else []

    async def _common(self, position: Position, head: Block) -> Position:
        """The position shortened to the blocks that still stand; those the endpoint has not reached yet are neither proved nor denied."""
        reached = [entry for entry in position.recent if entry[0] <= head.number]
        standing = list(reached)
        while standing and await self._hash(standing[-1][0]) != standing[-1][1]:
            standing.pop()
        if len(standing) == len(reached):
            return position
        return Position(standing[-1][0] + 1, tuple(standing)) if standing else Position(self._first)

    async def _hash(self, number: int) -> bytes:
        return (await self._ledger.block(number)).hash

    async def _joined(self, common: Position, end: Block) -> bool:
        """Whether the blocks just read stand on the last one read before them."""
        if not common.recent or common.recent[-1][0] != common.next - 1:
            return True
        first = end if end.number == common.next else await self._ledger.block(common.next)
        return first.parent == common.recent[-1][1]
