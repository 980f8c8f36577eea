"""The single writer of the embedded chain: journals what is submitted, hands it to the node, mines at once, rebuilds a dead node.

The order is always the same: one flushed journal record for all that waits, then the transactions one by one, then one block. So a
replay of the journal gives the node the same inputs in the same order and every block hash comes out identical.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import msgspec

from hansa.chain.anvil import Anvil
from hansa.chain.checkpoint import Checkpoint, Checkpoints
from hansa.chain.ipc import NodeGone
from hansa.chain.journal import Batch, ChainJournal
from hansa.chain.wire import BlockReply, RpcError, hexadecimal, octets
from hansa.core.clock import Clock
from hansa.core.encoding import keccak
from hansa.core.errors import HansaError, LedgerError, LedgerUnreachable, StorageError
from hansa.core.ports import Block

_log = logging.getLogger(__name__)

_MAX_BATCH = 500
_MAX_WAITING = 20_000
_CHECKPOINT_BLOCKS = 256
_RESTARTS = 5

Outcome = bytes | LedgerError | StorageError
"""What became of one submission: the transaction's hash, the node's refusal, or the disk's."""


class _Submission(NamedTuple):
    raw: bytes
    accepted: asyncio.Future[bytes]


class _Pool(msgspec.Struct):
    pending: str


class _Hash(msgspec.Struct, rename="camel"):
    transaction_hash: str


class Miner:
    """One per chain; `submit` may be called by any number of tasks."""

    def __init__(self, start_node: Callable[[], Awaitable[Anvil]], journal: ChainJournal, checkpoints: Checkpoints, clock: Clock) -> None:
        self._start_node, self._journal, self._checkpoints, self._clock = start_node, journal, checkpoints, clock
        self._queue: list[_Submission] = []
        self._wake = asyncio.Event()
        self._node: Anvil | None = None
        self._ready = asyncio.Event()
        self._time = asyncio.Lock()
        self._finishing = False
        self._waiting: dict[bytes, bytes] = {}
        self._receipts: dict[bytes, list[asyncio.Future[msgspec.Raw]]] = {}
        self.head = Block(0, b"", b"", 0)
        self._watching: set[asyncio.Future[None]] = set()

    async def node(self) -> Anvil:
        """The running node; waits while it is being rebuilt."""
        await self._ready.wait()
        if self._node is None:
            raise LedgerUnreachable("the embedded chain is stopping; ask again when it runs")
        return self._node

    async def set_time(self, node: Anvil) -> None:
        """Let the node judge what is asked of its pending block by our clock: its own stands where the last block left it."""
        async with self._time:
            await node.ipc.request("evm_setNextBlockTimestamp", (self._now(),), msgspec.Raw)

    async def submit(self, raw: bytes) -> bytes:
        """Journal, hand over and mine; returns the hash. RpcError when the node refuses, StorageError when the disk is full."""
        if self._finishing:
            raise LedgerUnreachable("the embedded chain is stopping; send again when it runs")
        if len(self._queue) + len(self._waiting) >= _MAX_WAITING:
            raise LedgerUnreachable(f"the chain has {_MAX_WAITING} transactions waiting; send again in a moment")
        submission = _Submission(raw, asyncio.get_running_loop().create_future())
        self._queue.append(submission)
        self._wake.set()
        return await submission.accepted

    async def submit_and_wait(self, raw: bytes, timeout: float) -> msgspec.Raw:
        """The mined receipt as JSON, `null` when the transaction still waits for an earlier nonce after `timeout` seconds."""
        number = keccak(raw)
        waiting: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._receipts.setdefault(number, []).append(waiting)
        try:
            await self.submit(raw)
            async with asyncio.timeout(timeout):
                return await waiting
        except TimeoutError:
            return msgspec.Raw(b"null")
        finally:
            listeners = self._receipts[number]
            listeners.remove(waiting)
            if not listeners:
                del self._receipts[number]

    async def wait_block(self, after: int, timeout: float) -> int:
        """The head's number: at once if it is above `after`, else as soon as it is, or after `timeout` seconds."""
        deadline = asyncio.get_running_loop().time() + timeout
        while self.head.number <= after and (left := deadline - asyncio.get_running_loop().time()) > 0:
            mined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watching.add(mined)
            try:
                await asyncio.wait((mined,), timeout=left)
            finally:
                self._watching.discard(mined)
        return self.head.number

    async def run(self) -> None:
        """Recover, then mine whenever something waits and rebuild the node whenever it dies, until `finish` is called."""
        await self._recover()
        while not self._finishing:
            await self._wake.wait()
            self._wake.clear()
            if not self._ready.is_set():
                await self._recover()
            while self._queue and not self._finishing:
                taken, self._queue = self._queue[:_MAX_BATCH], self._queue[_MAX_BATCH:]
                await self._process(taken)

    def finish(self) -> None:
        """Let `run` return when the block in hand is done: one cut short in the middle would leave node and journal apart."""
        self._finishing = True
        self._wake.set()

    async def stop(self, *, checkpoint: bool) -> None:
        """After `run` has ended: write a last checkpoint if that ended well, end the node, tell whoever still waits."""
        for submission in self._queue:
            if not submission.accepted.done():
                submission.accepted.set_exception(LedgerUnreachable("the embedded chain is stopping; send again when it runs"))
        node, self._node = self._node, None
        self._ready.set()
        if node is not None:
            if checkpoint:
                await self._checkpoint(node)
            await node.stop()
        self._journal.close()

    async def _process(self, taken: list[_Submission]) -> None:
        outcomes: list[Outcome]
        try:
            outcomes = await self._commit(tuple([submission.raw for submission in taken]))
        except StorageError as error:
            outcomes = [error] * len(taken)
        for submission, outcome in zip(taken, outcomes, strict=True):
            if submission.accepted.done():
                continue
            if isinstance(outcome, bytes):
                submission.accepted.set_result(outcome)
            else:
                submission.accepted.set_exception(outcome)
        await self._drain()
        if self._node is not None and self.head.number - self._journal.base >= max(_CHECKPOINT_BLOCKS, self.head.number // 4):
            await self._checkpoint(self._node)

    async def _drain(self) -> None:
        """Mine what did not fit into one block; an empty block means that the rest cannot be mined now."""
        try:
            while self._waiting and self._ready.is_set() and self._node is not None and await _pending(self._node):
                waiting = len(self._waiting)
                await self._commit(())
                if len(self._waiting) == waiting:
                    return
        except NodeGone:
            self._wake.set()
        except StorageError as error:
            _log.warning("%d transactions wait unmined: %s", len(self._waiting), error)

    async def _commit(self, raws: tuple[bytes, ...]) -> list[Outcome]:
        """One journal record and what it causes; a node that dies on the way is rebuilt from the journal, this record included."""
        if self._node is None or not self._ready.is_set():
            await self._recover()
        batch = Batch(self.head.number + 1, self._now(), self.head.hash, raws)
        self._journal.append(batch)
        try:
            return await self._apply(self._node, batch)
        except NodeGone:
            return await self._recover()

    def _now(self) -> int:
        """A block's time: the clock's, which may stand still for several blocks but never run backwards."""
        return max(int(self._clock.now()), self.head.timestamp)

    async def _apply(self, node: Anvil | None, batch: Batch) -> list[Outcome]:
        """Give the node one batch; mines a block if that leaves anything to mine."""
        if node is None:
            raise NodeGone("the node is gone")
        if batch.number and batch.parent != self.head.hash:
            raise LedgerError(
                f"replaying the journal gave another block {self.head.number} than before: install the node version that wrote this chain"
            )
        outcomes: list[Outcome] = []
        for raw in batch.transactions:
            try:
                outcome = octets(await node.ipc.request("eth_sendRawTransaction", (hexadecimal(raw),), str))
                self._waiting[outcome] = raw
                outcomes.append(outcome)
            except RpcError as error:
                outcomes.append(error)
        if batch.number and await _pending(node):
            async with self._time:
                await node.ipc.request("evm_setNextBlockTimestamp", (batch.timestamp,), msgspec.Raw)
                await node.ipc.request("evm_mine", (), msgspec.Raw)
            await self._after_block(node, batch)
        return outcomes

    async def _after_block(self, node: Anvil, batch: Batch) -> None:
        head = (await node.ipc.request("eth_getBlockByNumber", ("latest", False), BlockReply)).block()
        if head.number != batch.number or head.timestamp != batch.timestamp:
            raise LedgerError(f"the node mined block {head.number} where block {batch.number} was due; restart the chain")
        self.head = head
        for watching in self._watching:
            if not watching.done():
                watching.set_result(None)
        for receipt in await node.ipc.request("eth_getBlockReceipts", (hex(batch.number),), list[msgspec.Raw]):
            number = octets(msgspec.json.decode(receipt, type=_Hash).transaction_hash)
            self._waiting.pop(number, None)
            for waiting in self._receipts.get(number, ()):
                if not waiting.done():
                    waiting.set_result(receipt)

    async def _recover(self) -> list[Outcome]:
        """Start a node and bring it to where the journal ends; returns the outcomes of the last batch."""
        self._ready.clear()
        for attempt in range(_RESTARTS):
            if self._node is not None:
                await self._node.stop()
                self._node = None
            try:
                self._node = node = await self._start_node()
                node.ipc.on_lost = partial(self._lost, node)
                outcomes = await self._rebuild(node)
            except NodeGone as error:
                _log.warning("the embedded chain's node ended while it was rebuilt, attempt %d: %s", attempt + 1, error)
                continue
            self._ready.set()
            return outcomes
        raise LedgerError(f"the embedded chain's node ended {_RESTARTS} times while it was rebuilt; see anvil.log in the chain's home")

    def _lost(self, node: Anvil) -> None:
        if node is self._node:
            self._ready.clear()
            self._wake.set()

    async def _rebuild(self, node: Anvil) -> list[Outcome]:
        self._waiting.clear()
        checkpoint, segments = self._checkpoints.newest(), self._journal.segments()
        if checkpoint is None and segments and segments[0] != 0:
            raise LedgerError(
                "no checkpoint of this chain is readable and its journal does not reach back to genesis; restore its home from a copy"
            )
        if checkpoint is not None:
            loaded = await node.ipc.request("anvil_loadState", (hexadecimal(checkpoint.state),), bool)
            if not loaded:
                raise LedgerError(f"the node refused the checkpoint of block {checkpoint.number}; delete that file to use the one before")
        self.head = (await node.ipc.request("eth_getBlockByNumber", ("latest", False), BlockReply)).block()
        if checkpoint is not None and self.head.hash != checkpoint.hash:
            raise LedgerError(f"the checkpoint of block {checkpoint.number} gave another block; delete that file to use the one before")
        outcomes: list[Outcome] = []
        for batch in self._journal.replay(checkpoint.number if checkpoint else 0):
            outcomes = await self._apply(node, batch)
        self._journal.begin(max(segments, default=0))
        return outcomes

    async def _checkpoint(self, node: Anvil) -> None:
        """Dump the node; a disk that refuses costs nothing but a longer replay."""
        if self.head.number <= self._journal.base:
            return
        try:
            state = bytes.fromhex((await node.ipc.request("anvil_dumpState", (), str))[2:])
            head = self.head
            self._journal.begin(head.number)
            if self._waiting:
                self._journal.append(Batch(0, 0, head.hash, tuple(self._waiting.values())))
            self._journal.drop_before(self._checkpoints.write(Checkpoint(head.number, head.hash, head.timestamp, state)))
        except (OSError, HansaError) as error:
            _log.warning("no checkpoint at block %d: %s", self.head.number, error)


async def _pending(node: Anvil) -> bool:
    return int((await node.ipc.request("txpool_status", (), _Pool)).pending, 16) > 0
