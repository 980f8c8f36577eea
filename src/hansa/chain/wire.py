"""JSON-RPC 2.0 as both ends of ours speak it: requests, replies, hexadecimal quantities, and the shapes of blocks, logs and receipts."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from hansa.core.errors import LedgerError
from hansa.core.ports import Block, Log, Receipt

T = TypeVar("T")

METHOD_MISSING = -32601
UNKNOWN_METHOD = (METHOD_MISSING, -32602, -32600)
"""Codes with which endpoints refuse a method that they do not have."""
UNAVAILABLE, OVER_LIMIT = -32002, -32005
"""Refusals that time mends (EIP-1474)."""
DISK_FULL = -32050
"""Ours: the chain could not write the transaction down and knows nothing of it."""


class RpcError(LedgerError):
    """An endpoint's refusal: JSON-RPC error code, its sentence, and revert data where the error carries some."""

    def __init__(self, code: int, message: str, data: bytes | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class ErrorObject(msgspec.Struct):
    code: int
    message: str = ""
    data: object = None

    def as_error(self) -> RpcError:
        data = self.data
        if isinstance(data, dict):  # some nodes nest the revert data once more
            data = data.get("data")
        try:
            payload = bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") else None
        except ValueError:
            payload = None
        return RpcError(self.code, self.message[:500], payload)


class Reply(msgspec.Struct):
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorObject | None = None

    def result_as(self, shape: type[T]) -> T:
        if self.error is not None:
            raise self.error.as_error()
        return result_as(self.result, shape)


def result_as(result: msgspec.Raw, shape: type[T]) -> T:
    """A JSON result in the given shape; LedgerError when it has another."""
    try:
        return msgspec.json.decode(result, type=shape)
    except msgspec.DecodeError as error:
        raise LedgerError(f"the endpoint's answer does not have the shape that JSON-RPC prescribes ({error}); use another") from error


def request_body(number: int, method: str, params: object) -> bytes:
    return b'{"jsonrpc":"2.0","id":%d,"method":"%s","params":%s}' % (number, method.encode(), msgspec.json.encode(params))


def quantity(text: str) -> int:
    """A hexadecimal quantity; LedgerError when it is none."""
    try:
        return int(text, 16)
    except ValueError as error:
        raise LedgerError(f"the endpoint sent {text[:40]!r} where a hexadecimal number belongs; use another endpoint") from error


def octets(text: str) -> bytes:
    """Hexadecimal bytes; LedgerError when they are none."""
    try:
        return bytes.fromhex(text[2:])
    except ValueError as error:
        raise LedgerError(f"the endpoint sent {text[:40]!r} where hexadecimal bytes belong; use another endpoint") from error


def hexadecimal(data: bytes) -> str:
    return "0x" + data.hex()


class BlockReply(msgspec.Struct, rename="camel"):
    number: str
    hash: str
    parent_hash: str
    timestamp: str
    base_fee_per_gas: str = "0x0"

    def block(self) -> Block:
        return Block(quantity(self.number), octets(self.hash), octets(self.parent_hash), quantity(self.timestamp))


class LogReply(msgspec.Struct, rename="camel"):
    address: str
    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    log_index: str
    transaction_hash: str

    def log(self) -> Log:
        return Log(
            address=self.address.lower(),
            topics=tuple(map(octets, self.topics)),
            data=octets(self.data),
            block=quantity(self.block_number),
            block_hash=octets(self.block_hash),
            index=quantity(self.log_index),
            transaction=octets(self.transaction_hash),
        )


class ReceiptReply(msgspec.Struct, rename="camel"):
    transaction_hash: str
    block_number: str
    gas_used: str
    logs: list[LogReply]
    status: str = "0x1"
    contract_address: str | None = None

    def receipt(self) -> Receipt:
        return Receipt(
            transaction=octets(self.transaction_hash),
            block=quantity(self.block_number),
            gas_used=quantity(self.gas_used),
            logs=tuple([entry.log() for entry in self.logs]),
            created=(self.contract_address or "").lower(),
        )
