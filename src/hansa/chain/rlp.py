"""Recursive length prefix: the encoding that transactions are signed in (Ethereum yellow paper, appendix B)."""

from __future__ import annotations

from collections.abc import Sequence


def integer(value: int) -> bytes:
    """Big-endian without leading zeros; zero is the empty string."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def encode(item: bytes | Sequence[object]) -> bytes:
    """Bytes of a string or of a list of strings and lists."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _prefix(0x80, len(item)) + item
    body = b"".join([encode(part) for part in item])  # type: ignore[arg-type]
    return _prefix(0xC0, len(body)) + body


def _prefix(base: int, length: int) -> bytes:
    if length < 56:
        return bytes((base + length,))
    size = integer(length)
    return bytes((base + 55 + len(size),)) + size
