"""Small unsigned codes side by side in bytes: code i takes bits i*width to (i+1)*width - 1, least significant first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError

Codes = NDArray[np.unsignedinteger]


def packed_size(count: int, width: int) -> int:
    """Bytes of `count` codes of `width` bits; the last byte is filled with zero bits."""
    return (count * width + 7) // 8


def pack(codes: Codes, width: int) -> bytes:
    """Bytes of codes (n,) below 2^width, width 1 to 16."""
    if width in (8, 16):
        return codes.astype(f"<u{width // 8}").tobytes()
    if width == 1:
        return np.packbits(codes.astype(np.uint8), bitorder="little").tobytes()
    if width in (2, 4):
        each = 8 // width
        padded = np.zeros(-(-codes.size // each) * each, np.uint8)
        padded[: codes.size] = codes
        columns = padded.reshape(-1, each)
        result = columns[:, 0].copy()
        for place in range(1, each):
            result |= columns[:, place] << (place * width)
        return result.tobytes()
    octets = np.ascontiguousarray(codes.astype("<u2")).view(np.uint8).reshape(-1, 2)
    bits = np.unpackbits(octets, axis=1, count=width, bitorder="little")
    return np.packbits(bits.ravel(), bitorder="little").tobytes()


def unpack(data: bytes | memoryview, count: int, width: int) -> Codes:
    """The `count` codes in exactly `packed_size` bytes: uint8 (n,), uint16 above 8 bits; FormatError when a bit after the last is set."""
    if len(data) != packed_size(count, width):
        raise FormatError(f"{count} codes of {width} bits fill {packed_size(count, width)} bytes, not {len(data)}")
    octets = np.frombuffer(data, np.uint8)
    used = count * width % 8
    if used and octets[-1] >> used:
        raise FormatError("a bit after the last code of a compressed update is set; it must be zero")
    if width == 8:
        return octets
    if width == 16:
        return octets.view("<u2").astype(np.uint16, copy=False)
    if width == 1:
        return np.unpackbits(octets, count=count, bitorder="little")
    if width in (2, 4):
        columns = np.empty((octets.size, 8 // width), np.uint8)
        for place in range(8 // width):
            columns[:, place] = (octets >> (place * width)) & ((1 << width) - 1)
        return columns.ravel()[:count]
    bits = np.unpackbits(octets, count=count * width, bitorder="little").reshape(count, width)
    if width < 8:
        return np.packbits(bits, axis=1, bitorder="little").ravel()
    pairs: Codes = np.packbits(bits, axis=1, bitorder="little").view("<u2").ravel().astype(np.uint16, copy=False)
    return pairs
