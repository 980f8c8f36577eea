"""The in-memory twin of the chain: the contracts' own bytecode in an EVM of this process, a block for each transaction, time from a clock.

Contract semantics, addresses, logs and nonces are those of a chain; `gas_used` is only roughly so, because warm storage stays warm here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import NamedTuple

import pyrevm

from hansa.chain.refusals import reverted
from hansa.chain.transactions import Transaction, created_address, sign
from hansa.core.clock import Clock, SystemClock
from hansa.core.encoding import keccak
from hansa.core.errors import LedgerError, Reverted
from hansa.core.ports import Block, Call, Log, Receipt, Signer
from hansa.core.types import ZERO_ADDRESS, Address

_GAS_LIMIT = 1_000_000_000
_PADDING = 33  # zeros that the EVM keeps behind all code, so that it need not check for its end
_OUTPUT = re.compile(r"output: 0x([0-9a-f]*)")


class _Mined(NamedTuple):
    block: Block
    intent: tuple[str, str]
    call: Call
    receipt: Receipt


class MemoryLedger:
    """One chain; all participants of a simulation share the object."""

    def __init__(self, clock: Clock | None = None, chain_id: int = 31337) -> None:
        self._clock = clock or SystemClock()
        self._chain_id = chain_id
        self._salt = 0
        self._watching: set[asyncio.Future[None]] = set()
        genesis = Block(0, keccak(b"genesis" + chain_id.to_bytes(8, "big")), bytes(32), int(self._clock.now()))
        self._genesis = genesis
        self._restart()

    @property
    def chain_id(self) -> int:
        return self._chain_id

    async def head(self) -> Block:
        return self._blocks[-1]

    async def block(self, number: int) -> Block:
        if not 0 <= number < len(self._blocks):
            raise LedgerError(f"the chain has no block {number} yet; wait for it")
        return self._blocks[number]

    async def call(self, call: Call, *, sender: Address | None = None) -> bytes:
        self._set_block(self._blocks[-1])
        checkpoint = self._evm.snapshot()
        try:
            if call.to:
                return self._run(call, sender or ZERO_ADDRESS)
            code = self._evm.get_code(self._create(call, sender or ZERO_ADDRESS))
            return code[:-_PADDING] if code else b""
        finally:
            self._evm.revert(checkpoint)

    async def send(self, call: Call, signer: Signer, *, intent: str) -> Receipt:
        key = (signer.address, intent)
        if key not in self._mined:
            nonce = self._nonces.get(signer.address, 0)
            signed = sign(Transaction(self._chain_id, nonce, call.to, call.data, call.gas), signer)
            self._mine(call, key, signed.hash, self._next_block(signed.hash))
        return self._mined[key].receipt

    async def logs(self, addresses: Sequence[Address], first: int, last: int) -> list[Log]:
        return [
            log
            for mined in self._mined.values()
            if first <= mined.block.number <= last
            for log in mined.receipt.logs
            if log.address in addresses
        ]

    async def next_block(self, after: int, timeout: float) -> None:
        deadline = asyncio.get_running_loop().time() + timeout
        while self._blocks[-1].number <= after and (left := deadline - asyncio.get_running_loop().time()) > 0:
            mined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watching.add(mined)
            try:
                await asyncio.wait((mined,), timeout=left)
            finally:
                self._watching.discard(mined)

    async def receipt(self, transaction: bytes) -> Receipt | None:
        return next((mined.receipt for mined in self._mined.values() if mined.receipt.transaction == transaction), None)

    async def close(self) -> None:
        """Nothing is held open."""

    def mine(self) -> Block:
        """An empty block, at the clock's time."""
        block = self._next_block(b"")
        self._add(block)
        return block

    def reorganise(self, depth: int, *, keep: bool = True) -> None:
        """Replace the last `depth` blocks by one more than that; their transactions are mined again in the same order, or dropped.

        A dropped transaction's intent may be sent again, as a node does with the bytes in its journal.
        """
        if not 0 < depth < len(self._blocks):
            raise LedgerError(f"a reorganisation replaces 1 to {len(self._blocks) - 1} blocks")
        cut = len(self._blocks) - depth
        old, length = list(self._mined.values()), len(self._blocks)
        self._salt += 1
        kept_blocks = self._blocks[:cut]
        self._restart()
        for block in kept_blocks[1:]:
            mined = next((entry for entry in old if entry.block == block), None)
            if mined is None:
                self._add(block)
            else:
                self._mine(mined.call, mined.intent, mined.receipt.transaction, block)
        for mined in [entry for entry in old if keep and entry.block.number >= cut]:
            try:
                self._mine(mined.call, mined.intent, mined.receipt.transaction, self._next_block(mined.receipt.transaction))
            except Reverted:
                continue  # an earlier time may turn a success into a refusal, on any chain
        while len(self._blocks) <= length:
            self.mine()

    def _restart(self) -> None:
        self._evm = pyrevm.EVM(env=pyrevm.Env(cfg=pyrevm.CfgEnv(chain_id=self._chain_id)), gas_limit=_GAS_LIMIT, spec_id="SHANGHAI")
        self._blocks = [self._genesis]
        self._mined: dict[tuple[str, str], _Mined] = {}
        self._nonces: dict[str, int] = {}

    def _next_block(self, content: bytes) -> Block:
        parent = self._blocks[-1]
        time = max(int(self._clock.now()), parent.timestamp)
        seal = parent.hash + time.to_bytes(8, "big") + self._salt.to_bytes(8, "big") + content
        return Block(parent.number + 1, keccak(seal), parent.hash, time)

    def _set_block(self, block: Block) -> None:
        self._evm.set_block_env(
            pyrevm.BlockEnv(number=block.number, timestamp=block.timestamp, basefee=0, gas_limit=_GAS_LIMIT, prevrandao=keccak(block.hash))
        )

    def _mine(self, call: Call, key: tuple[str, str], transaction: bytes, block: Block) -> None:
        sender = Address(key[0])
        self._set_block(block)
        created = ""
        if call.to:
            self._run(call, sender)
        else:
            created = self._create(call, sender)
        result = self._evm.result
        if result is None:
            raise LedgerError("the EVM kept no result of a transaction that it ran; report this")
        logs = tuple(
            [
                Log(log.address.lower(), tuple(log.data[0]), log.data[1], block.number, block.hash, index, transaction)
                for index, log in enumerate(result.logs)
            ]
        )
        self._nonces[sender] = self._nonces.get(sender, 0) + 1
        self._mined[key] = _Mined(block, key, call, Receipt(transaction, block.number, result.gas_used, logs, created))
        self._add(block)

    def _add(self, block: Block) -> None:
        self._blocks.append(block)
        for watching in self._watching:
            if not watching.done():
                watching.set_result(None)

    def _run(self, call: Call, sender: Address) -> bytes:
        try:
            return bytes(self._evm.message_call(sender, call.to, calldata=call.data, gas=call.gas or _GAS_LIMIT))
        except RuntimeError as error:
            raise _refusal(error, call) from error

    def _create(self, call: Call, sender: Address) -> Address:
        nonce = self._nonces.get(sender, 0)
        self._evm.insert_account_info(sender, pyrevm.AccountInfo(nonce=nonce))
        try:
            self._evm.deploy(sender, call.data, gas=call.gas or _GAS_LIMIT)
        except RuntimeError as error:
            raise _refusal(error, call) from error
        return created_address(sender, nonce)


def _refusal(error: RuntimeError, call: Call) -> Reverted:
    output = _OUTPUT.search(str(error))
    if output is not None:
        return reverted(bytes.fromhex(output[1]), call.label)
    return Reverted(f"the chain cannot run {call.label or 'the call'}: {error}")
