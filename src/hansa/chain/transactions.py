"""Signed transactions: legacy with chain id (EIP-155) or with a fee market (EIP-1559), encoded and hashed as the chain expects them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from hansa.chain import rlp
from hansa.core.encoding import keccak
from hansa.core.errors import FormatError
from hansa.core.ports import Signer
from hansa.core.types import Address


class Fees(NamedTuple):
    """Wei per unit of gas: the most that is paid and, where the chain has a fee market, the tip; without a tip the legacy form is used."""

    price: int
    tip: int | None = None


FREE = Fees(0)


class Transaction(msgspec.Struct, frozen=True):
    """A transaction before it is signed; an empty `to` creates a contract."""

    chain_id: int
    nonce: int
    to: str
    data: bytes
    gas: int
    fees: Fees = FREE
    value: int = 0


class Signed(NamedTuple):
    """The bytes that are sent and the 32-byte hash they are known by."""

    raw: bytes
    hash: bytes


def sign(transaction: Transaction, signer: Signer) -> Signed:
    """Sign with the signer's key: v = 35 + 2 * chain + parity for the legacy form, parity alone for type 2."""
    number = rlp.integer
    to = bytes.fromhex(transaction.to[2:])
    if len(to) not in (0, 20):
        raise FormatError(f"{transaction.to!r} is not an address; give 0x and 40 hexadecimal digits")
    price, tip = transaction.fees
    tail = [number(transaction.gas), to, number(transaction.value), transaction.data]
    if tip is None:
        fields: list[object] = [number(transaction.nonce), number(price), *tail]
        signature = signer.sign(keccak(rlp.encode([*fields, number(transaction.chain_id), b"", b""])))
        prefix, v = b"", 35 + 2 * transaction.chain_id + signature[64] - 27
    else:
        fields = [number(transaction.chain_id), number(transaction.nonce), number(tip), number(price), *tail, []]
        signature = signer.sign(keccak(b"\x02" + rlp.encode(fields)))
        prefix, v = b"\x02", signature[64] - 27
    r, s = signature[:32].lstrip(b"\0"), signature[32:64].lstrip(b"\0")
    raw = prefix + rlp.encode([*fields, number(v), r, s])
    return Signed(raw, keccak(raw))


def created_address(sender: Address, nonce: int) -> Address:
    """Where a contract made by `sender`'s transaction number `nonce` will live: the last 20 bytes of keccak(rlp([sender, nonce]))."""
    return Address("0x" + keccak(rlp.encode([bytes.fromhex(sender[2:]), rlp.integer(nonce)]))[12:].hex())
