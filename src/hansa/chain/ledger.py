"""The Ledger port over JSON-RPC: one or more endpoints of any EVM chain, idempotent sends, refusals in words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hansa.chain.endpoints import Endpoints
from hansa.chain.nonces import Nonces
from hansa.chain.sender import Sender, fields, refusal
from hansa.chain.wire import UNKNOWN_METHOD, BlockReply, LogReply, ReceiptReply, RpcError, hexadecimal, octets, quantity
from hansa.core.errors import LedgerError
from hansa.core.ports import Block, Call, Journal, Log, Receipt, Signer
from hansa.core.types import Address

_LONGEST_WAIT = 20.0
"""Seconds for which one request may stay unanswered while the chain has nothing new."""
_SLACK = 5.0
_FIRST_LOOK, _LAST_LOOK = 0.02, 1.0


class JsonRpcLedger:
    """Open with `open`; safe for any number of tasks of one process."""

    def __init__(self, endpoints: Endpoints, sender: Sender) -> None:
        self._endpoints, self._sender = endpoints, sender
        self._tells = True
        """Whether the endpoint says by itself when there is a new block (the embedded chain does)."""

    @classmethod
    async def open(cls, urls: Sequence[str], journal: Journal, *, chain_id: int | None = None, patience: float = 60.0) -> JsonRpcLedger:
        """Connect; `chain_id` None takes what the first endpoint says. WrongChain when an endpoint or the journal belongs elsewhere."""
        endpoints = await Endpoints.open(urls, chain_id)
        try:
            genesis = await endpoints.request("eth_getBlockByNumber", ("0x0", False), BlockReply)
            return cls(endpoints, Sender(endpoints, Nonces(journal, octets(genesis.hash)), patience=patience))
        except BaseException:
            await endpoints.close()
            raise

    @property
    def chain_id(self) -> int:
        return self._endpoints.chain_id

    async def head(self) -> Block:
        return (await self._endpoints.request("eth_getBlockByNumber", ("latest", False), BlockReply)).block()

    async def block(self, number: int) -> Block:
        found = await self._endpoints.optional("eth_getBlockByNumber", (hex(number), False), BlockReply)
        if found is None:
            raise LedgerError(f"the chain has no block {number} yet; wait for it")
        return found.block()

    async def call(self, call: Call, *, sender: Address | None = None) -> bytes:
        parameters = fields(call, sender)
        if call.gas:
            parameters["gas"] = hex(call.gas)
        try:
            return octets(await self._endpoints.request("eth_call", (parameters, "latest"), str))
        except RpcError as error:
            raise refusal(error, call) from error

    async def send(self, call: Call, signer: Signer, *, intent: str) -> Receipt:
        return await self._sender.send(call, signer, intent)

    async def logs(self, addresses: Sequence[Address], first: int, last: int) -> list[Log]:
        if not addresses or last < first:
            return []
        wanted = {"address": list(addresses), "fromBlock": hex(first), "toBlock": hex(last)}
        try:
            found = await self._endpoints.request("eth_getLogs", (wanted,), list[LogReply])
        except RpcError:
            if first == last:
                raise
            middle = (first + last) // 2  # endpoints bound their answers, each in its own way; halves fit sooner or later
            return [*await self.logs(addresses, first, middle), *await self.logs(addresses, middle + 1, last)]
        return sorted([entry.log() for entry in found], key=lambda log: (log.block, log.index))

    async def next_block(self, after: int, timeout: float) -> None:
        now, pause = asyncio.get_running_loop().time, _FIRST_LOOK
        deadline = now() + timeout
        while (left := deadline - now()) > 0:
            if await self._height(after, min(left, _LONGEST_WAIT)) > after:
                return
            if not self._tells:
                await asyncio.sleep(min(pause, max(deadline - now(), 0.0)))
                pause = min(pause * 1.5, _LAST_LOOK)

    async def _height(self, after: int, patience: float) -> int:
        """The head's number, at once if it is above `after`; else, where the endpoint can wait, after up to `patience` seconds."""
        if self._tells:
            try:
                parameters = (hex(after), int(patience * 1000))
                return quantity(await self._endpoints.request("hansa_waitForBlock", parameters, str, timeout=patience + _SLACK))
            except RpcError as error:
                if error.code not in UNKNOWN_METHOD:
                    raise
                self._tells = False
        return quantity(await self._endpoints.request("eth_blockNumber", (), str))

    async def receipt(self, transaction: bytes) -> Receipt | None:
        found = await self._endpoints.optional("eth_getTransactionReceipt", (hexadecimal(transaction),), ReceiptReply)
        return found.receipt() if found is not None and found.status != "0x0" else None

    async def close(self) -> None:
        await self._sender.close()
        await self._endpoints.close()
