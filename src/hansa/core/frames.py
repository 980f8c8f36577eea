"""Several byte strings in one body: a count and lengths first, all checked before anything is sliced."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from hansa.core.errors import FormatError

_MAX_PARTS = 64


def pack(parts: Sequence[bytes | memoryview]) -> bytes:
    """u32 count, u64 length each, then the parts, little-endian."""
    if len(parts) > _MAX_PARTS:
        raise FormatError(f"{len(parts)} parts in one body; at most {_MAX_PARTS} are allowed")
    return b"".join([struct.pack(f"<I{len(parts)}Q", len(parts), *(len(part) for part in parts)), *parts])


def unpack(body: bytes, count: int) -> list[memoryview]:
    """Exactly `count` parts without copying; FormatError when the body is anything else."""
    header = 4 + 8 * count
    if count > _MAX_PARTS or len(body) < header:
        raise FormatError(f"body of {len(body)} bytes cannot hold {count} parts")
    found, *lengths = struct.unpack_from(f"<I{count}Q", body)
    if found != count or sum(lengths) != len(body) - header:
        raise FormatError(
            f"body declares {found} parts of {sum(lengths)} bytes in all, but {count} parts of {len(body) - header} were expected"
        )
    view, offset, parts = memoryview(body), header, []
    for length in lengths:
        parts.append(view[offset : offset + length])
        offset += length
    return parts
