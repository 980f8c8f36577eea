"""The hot path: sign, journal, send, wait; every intent is mined at most once, whatever fails on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hansa.chain.endpoints import Endpoints
from hansa.chain.nonces import Nonces, Sent
from hansa.chain.refusals import reverted
from hansa.chain.transactions import FREE, Fees, Transaction, sign
from hansa.chain.wire import DISK_FULL, OVER_LIMIT, UNAVAILABLE, UNKNOWN_METHOD, BlockReply, ReceiptReply, RpcError, hexadecimal, quantity
from hansa.core.errors import LedgerError, LedgerUnreachable, Reverted
from hansa.core.ports import Call, Receipt, Signer
from hansa.core.types import Address

K = TypeVar("K")
T = TypeVar("T")

_FIRST_PAUSE, _REPAIR_PAUSE, _LAST_PAUSE = 0.002, 0.1, 0.25
_MISSES = 5
_TRANSFER_GAS = 21_000


class Sender:
    """One per process and chain; any number of tasks may send through it, for any number of signers."""

    def __init__(self, endpoints: Endpoints, nonces: Nonces, *, patience: float = 60.0) -> None:
        """`patience` is how many seconds `send` waits for a journalled transaction to be mined, outages included."""
        self._endpoints, self._nonces, self._patience = endpoints, nonces, patience
        self._under_way: dict[tuple[str, str], asyncio.Task[Receipt]] = {}
        self._learnt: dict[str, asyncio.Task[None]] = {}
        self._one_request = True
        self._free: bool | None = None

    async def send(self, call: Call, signer: Signer, intent: str) -> Receipt:
        """As the Ledger port's `send`; tasks that send the same intent at once share one transaction."""
        return await _shared(self._under_way, (signer.address, intent), self._send(call, signer, intent))

    async def _send(self, call: Call, signer: Signer, intent: str) -> Receipt:
        account = signer.address
        if account not in self._learnt or not self._learnt[account].done():
            await _shared(self._learnt, account, self._learn(account), keep=True)
        mined = await self._settle(call, signer, intent)
        if mined is not None and mined.status != "0x0":
            return mined.receipt()
        for _ in range(3):
            gas, fees = call.gas or await self.estimate(call, account), await self._fees()
            self._take(call, signer, intent, gas, fees)
            mined = await self._settle(call, signer, intent)
            if mined is not None and mined.status == "0x0":
                raise await self._why(call, account, gas, quantity(mined.block_number))
            if mined is not None:
                return mined.receipt()
            self._nonces.raise_to(account, await self._count(account, "pending"))
        raise LedgerError(
            f"other transactions of {account} took the place of {call.label or 'a call'} three times; use a key in one process only"
        )

    async def close(self) -> None:
        """Give up waiting; what was journalled is sent again by the next process."""
        tasks = [*self._under_way.values(), *self._learnt.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def estimate(self, call: Call, account: Address) -> int:
        """Gas limit with a quarter of margin; Reverted when the contract would refuse."""
        # Judged in the block to come: on a quiet chain the latest block's time may lie far back, and deadlines would look unexpired.
        try:
            return quantity(await self._endpoints.request("eth_estimateGas", (fields(call, account), "pending"), str)) * 5 // 4 + 5_000
        except RpcError as error:
            raise refusal(error, call) from error

    def _take(self, call: Call, signer: Signer, intent: str, gas: int, fees: Fees, nonce: int | None = None) -> None:
        chain = self._endpoints.chain_id
        self._nonces.take(
            signer.address, intent, fees, lambda chosen: sign(Transaction(chain, chosen, call.to, call.data, gas, fees), signer), nonce
        )

    async def _settle(self, call: Call, signer: Signer, intent: str) -> ReceiptReply | None:
        """Send an intent's journalled transaction (again) and wait; None when there is none, or its nonce went to another transaction."""
        account, now = signer.address, asyncio.get_running_loop().time
        deadline, pause, misses, used, push = now() + self._patience, _FIRST_PAUSE, 0, False, True
        while (carried := self._nonces.of(account, intent)) is not None:
            try:
                if push:
                    mined, used = await self._push(account, carried.nonce)
                    if mined is not None:
                        return mined
                    push = False
                for number in reversed(carried.hashes):
                    mined = await self._endpoints.optional("eth_getTransactionReceipt", (hexadecimal(number),), ReceiptReply)
                    if mined is not None:
                        return mined
                if pause > _REPAIR_PAUSE:
                    used = await self._repair(call, signer, intent)
                    misses += used
                    if misses >= _MISSES:
                        return None
            except LedgerUnreachable:
                if now() > deadline:
                    raise
                push = True
            if now() > deadline:
                raise LedgerError(
                    f"{call.label or 'a call'} was not mined in {self._patience:g} s; repeat the same intent to go on waiting"
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LAST_PAUSE)
        return None

    async def _push(self, account: Address, nonce: int) -> tuple[ReceiptReply | None, bool]:
        """Hand a journalled transaction to the chain: its receipt if that came at once, and whether its nonce is used up."""
        sent = self._nonces.at(account, nonce)
        if sent is None:
            return None, True
        raw = (hexadecimal(sent.raw),)
        try:
            if self._one_request:
                return await self._endpoints.optional("hansa_sendRawTransaction", raw, ReceiptReply), False
        except RpcError as error:
            if error.code not in UNKNOWN_METHOD:
                return None, self._used_up(error, sent)
            self._one_request = False
        try:
            await self._endpoints.request("eth_sendRawTransaction", raw, str)
        except RpcError as error:
            return None, self._used_up(error, sent)
        return None, False

    def _used_up(self, error: RpcError, sent: Sent) -> bool:
        """Whether the refusal says that the nonce is used; raises for one that waiting does not change."""
        text = str(error).lower()
        if "nonce too low" in text:
            return True
        if any(word in text for word in ("already", "replacement", "underpriced", "base fee")):
            return False  # it waits, or `_repair` raises its price
        if error.code in (UNAVAILABLE, OVER_LIMIT):
            raise LedgerUnreachable(str(error)) from error
        if error.code == DISK_FULL:
            raise error
        self._nonces.refuse(sent)
        raise LedgerError(f"the chain refused a transaction of {sent.signer}: {error}") from error

    async def _repair(self, call: Call, signer: Signer, intent: str) -> bool:
        """Whether the intent's nonce is used; if not, raise a price that fell behind, fill gaps, send everything up to it again."""
        account, carried = signer.address, self._nonces.of(signer.address, intent)
        count = await self._count(account, "latest")
        if carried is None or count > carried.nonce:
            return True
        fees, sent = await self._fees(), self._nonces.at(account, carried.nonce)
        if sent is not None and fees.price > sent.fees.price:
            # A replacement must offer an eighth more in both fields, or nodes drop it.
            tip = None if fees.tip is None else max(fees.tip, (sent.fees.tip or 0) * 9 // 8 + 1)
            raised = Fees(max(fees.price, sent.fees.price * 9 // 8 + 1), tip)
            self._take(call, signer, intent, call.gas or await self.estimate(call, account), raised, carried.nonce)
        for nonce in range(count, carried.nonce + 1):
            if self._nonces.at(account, nonce) is None:
                self._take(Call(account, b""), signer, f"filler:{nonce}", _TRANSFER_GAS, fees, nonce)
            await self._push(account, nonce)
        return False

    async def _learn(self, account: Address) -> None:
        """Take the chain's count of this account, and send again what a crash may have kept from reaching it."""
        used, pending = await self._count(account, "latest"), await self._count(account, "pending")
        for nonce in range(used, self._nonces.next(account)):
            sent = self._nonces.at(account, nonce)
            if sent is not None:
                try:
                    await self._endpoints.request("eth_sendRawTransaction", (hexadecimal(sent.raw),), str)
                except RpcError:
                    continue  # known already, or refused: repeating its intent finds out which
        self._nonces.raise_to(account, pending)

    async def _fees(self) -> Fees:
        """What to offer now: nothing where gas is free, twice the base fee and the suggested tip where there is a market."""
        if self._free:
            return FREE
        price = quantity(await self._endpoints.request("eth_gasPrice", (), str))
        base = quantity((await self._endpoints.request("eth_getBlockByNumber", ("latest", False), BlockReply)).base_fee_per_gas)
        self._free = price == 0 and base == 0
        if base == 0:
            return Fees(price)
        try:
            tip = quantity(await self._endpoints.request("eth_maxPriorityFeePerGas", (), str))
        except RpcError:
            tip = max(price - base, 0)
        return Fees(2 * base + tip, tip)

    async def _why(self, call: Call, account: Address, gas: int, block: int) -> Reverted:
        """The reason of a mined refusal, asked again on the state before its block."""
        try:
            await self._endpoints.request("eth_call", ({**fields(call, account), "gas": hex(gas)}, hex(block - 1)), str)
        except RpcError as error:
            return refusal(error, call)
        return Reverted(f"the contract refused {call.label or 'the call'} in block {block}, or its gas limit of {gas} was too low")

    async def _count(self, account: Address, tag: str) -> int:
        return quantity(await self._endpoints.request("eth_getTransactionCount", (account, tag), str))


def fields(call: Call, account: Address | None) -> dict[str, str]:
    """A call as JSON-RPC takes it."""
    fields = {"data": hexadecimal(call.data)}
    if call.to:
        fields["to"] = call.to
    if account is not None:
        fields["from"] = account
    return fields


def refusal(error: RpcError, call: Call) -> Reverted:
    """The contract's reason out of an endpoint's error."""
    if error.data is not None or "revert" in str(error).lower():
        return reverted(error.data or b"", call.label)
    return Reverted(f"the chain cannot run {call.label or 'the call'}: {error}")


async def _shared(running: dict[K, asyncio.Task[T]], key: K, work: Coroutine[Any, Any, T], *, keep: bool = False) -> T:
    """Run `work` unless the same is running, and wait for the result; a waiter that gives up does not stop it for the others."""
    task = running.get(key)
    if task is not None:
        work.close()
    else:
        task = running[key] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda done: _finished(running, key, done, keep))
    return await asyncio.shield(task)


def _finished(running: dict[K, asyncio.Task[T]], key: K, done: asyncio.Task[T], keep: bool) -> None:
    failed = done.cancelled() or done.exception() is not None  # reading the exception also marks it as seen
    if not keep or failed:
        del running[key]
