"""Why a blob is kept: reasons as a small JSON list beside it."""

from __future__ import annotations

from collections.abc import Set

import msgspec

from hansa.core.errors import StorageError


def encode(reasons: Set[str]) -> bytes:
    """The reasons, sorted."""
    return msgspec.json.encode(sorted(reasons))


def parse(data: bytes, where: str) -> frozenset[str]:
    """The reasons kept at `where`; StorageError when they are damaged, for deleting on a guess would lose data."""
    try:
        return msgspec.json.decode(data, type=frozenset[str])
    except msgspec.DecodeError as error:
        raise StorageError(f"the pins in {where} are damaged ({error}); restore the file or write [] into it") from error
