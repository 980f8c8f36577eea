"""Canonical bytes: RFC 8785 JSON for specs, bounded msgspec JSON for messages, keccak-256 for everything a contract checks."""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec
import rfc8785
from eth_hash.auto import keccak as _keccak

from hansa.core.errors import FormatError
from hansa.core.types import Digest

T = TypeVar("T")

MAX_MESSAGE = 4 << 20
"""Upper bound, in bytes, of any JSON message taken from another party."""


def keccak(data: bytes) -> bytes:
    """keccak-256, 32 bytes, as the EVM computes it."""
    return _keccak(data)


def sha256(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).digest()


def canonical(value: object) -> bytes:
    """The RFC 8785 form of a struct or of JSON-like values; integers beyond 2^53 are refused by the standard, send them as strings."""
    try:
        return rfc8785.dumps(msgspec.to_builtins(value))
    except (rfc8785.CanonicalizationError, TypeError) as error:
        raise FormatError(
            f"the value has no canonical JSON form ({error}); use strings, booleans, finite numbers, lists and objects"
        ) from error


def spec_digest(value: object) -> Digest:
    """sha256 of the canonical form: how a spec is named on the ledger."""
    return Digest(sha256(canonical(value)))


def decode(data: bytes, shape: type[T], *, limit: int = MAX_MESSAGE) -> T:
    """Parse JSON from another party into a frozen struct; FormatError when it is too large or does not fit."""
    if len(data) > limit:
        raise FormatError(f"message of {len(data)} bytes exceeds the limit of {limit}")
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"message is not a valid {getattr(shape, '__name__', shape)}: {error}") from error


def encode(value: object) -> bytes:
    """JSON of a struct, compact; deterministic for a given struct type, but not a canonical form."""
    return msgspec.json.encode(value)
