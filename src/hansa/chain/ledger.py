"""The Ledger port over JSON-RPC: one or more endpoints of any EVM chain, idempotent sends, refusals in words."""

from __future__ import annotations

from collections.abc import Sequence

from hansa.chain.endpoints import Endpoints
from hansa.chain.nonces import Nonces
from hansa.chain.sender import Sender, fields, refusal
from hansa.chain.wire import BlockReply, LogReply, RpcError, octets
from hansa.core.errors import LedgerError
from hansa.core.ports import Block, Call, Journal, Log, Receipt, Signer
from hansa.core.types import Address


class JsonRpcLedger:
    """Open with `open`; safe for any number of tasks of one process."""

    def __init__(self, endpoints: Endpoints, sender: Sender) -> None:
        self._endpoints, self._sender = endpoints, sender

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

    async def close(self) -> None:
        await self._sender.close()
        await self._endpoints.close()
