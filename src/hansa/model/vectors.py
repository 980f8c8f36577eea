"""Several vectors as one blob: what a server keeps between rounds, in public, and what a site keeps for itself.

Wire form, little-endian: magic "HNSV", u16 version, u16 bytes a value (4 or 8), u32 count, then u64 length of each vector, then their
values, float32 or float64, one vector after the other.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError

_HEADER = struct.Struct("<4sHHI")
_MAGIC = b"HNSV"
_VERSION = 1
_TYPES = {4: "<f4", 8: "<f8"}

_Float = TypeVar("_Float", np.float32, np.float64)


def encode(vectors: Sequence[NDArray[_Float]]) -> bytes:
    """Canonical bytes of vectors (d_i,) of one type, float32 or float64; FormatError for anything else."""
    kinds = {vector.dtype.itemsize for vector in vectors if vector.dtype.kind == "f" and vector.ndim == 1}
    if len(kinds) != 1 or not kinds <= _TYPES.keys() or any(vector.dtype != vectors[0].dtype or vector.ndim != 1 for vector in vectors):
        raise FormatError("vectors are kept together when all are flat and float32, or all float64, and there is at least one")
    (width,) = kinds
    head = _HEADER.pack(_MAGIC, _VERSION, width, len(vectors)) + struct.pack(f"<{len(vectors)}Q", *(len(each) for each in vectors))
    return head + b"".join(vector.astype(_TYPES[width], copy=False).tobytes() for vector in vectors)


def decode(data: bytes | memoryview, like: Sequence[NDArray[_Float]]) -> tuple[NDArray[_Float], ...]:
    """The vectors in these bytes, of the number, lengths and type of `like`, all finite; FormatError when they are not exactly that."""
    width = like[0].dtype.itemsize if like else 0
    lengths = [len(each) for each in like]
    head = _HEADER.pack(_MAGIC, _VERSION, width, len(like)) + struct.pack(f"<{len(like)}Q", *lengths)
    if len(data) != len(head) + width * sum(lengths) or bytes(data[: len(head)]) != head:
        raise FormatError(f"the bytes are not {len(like)} vectors of {lengths} values of {width} bytes in canonical form")
    if not like:
        return ()
    values: NDArray[_Float] = np.frombuffer(data, np.dtype(_TYPES[width]), offset=len(head)).astype(like[0].dtype, copy=False)
    if not np.isfinite(values).all():
        raise FormatError("the vectors hold values that are not finite")
    return tuple(np.split(values, np.cumsum(lengths)[:-1]))


def read(data: bytes | memoryview) -> tuple[NDArray[np.float32], ...]:
    """Float32 vectors that this program itself has written, of whatever number and lengths; FormatError when they are damaged."""
    if len(data) < _HEADER.size:
        raise FormatError(f"{len(data)} bytes are too few for vectors")
    _, _, _, count = _HEADER.unpack_from(data)
    if len(data) < _HEADER.size + 8 * count:
        raise FormatError(f"{len(data)} bytes are too few for {count} vectors")
    lengths = struct.unpack_from(f"<{count}Q", data, _HEADER.size)
    if sum(lengths) > len(data) // 4:
        raise FormatError(f"{len(data)} bytes are too few for vectors of {lengths} values")
    return decode(data, [np.empty(length, np.float32) for length in lengths])


def size(like: Sequence[NDArray[_Float]]) -> int:
    """Length in bytes of the canonical form of such vectors."""
    return _HEADER.size + 8 * len(like) + sum(each.nbytes for each in like)
