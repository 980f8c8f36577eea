"""Examples as one blob: what a client publishes for progress and opens for acceptance; bounded and exact.

Wire form, little-endian: magic "HNSX", u16 version, u8 kind of labels (0 classes, 1 numbers), u8 zero, u32 rows, u32 features, then
features float32 row by row, then labels (int64 or float32).
"""

from __future__ import annotations

import struct

import numpy as np

from hansa.core.errors import DataError, FormatError
from hansa.learning.examples import Examples

MAX_ROWS = 1 << 24
MAX_FEATURES = 1 << 20

_HEADER = struct.Struct("<4sHBBII")
_MAGIC = b"HNSX"
_VERSION = 1
_LABELS = ("<i8", "<f4")


def write(examples: Examples) -> bytes:
    """The examples' canonical bytes."""
    rows, features = examples.features.shape
    kind = 0 if examples.labels.dtype == np.int64 else 1
    head = _HEADER.pack(_MAGIC, _VERSION, kind, 0, rows, features)
    return head + examples.features.astype("<f4", copy=False).tobytes() + examples.labels.astype(_LABELS[kind], copy=False).tobytes()


def read(data: bytes | memoryview) -> Examples:
    """The examples in these bytes, not copied; FormatError when they are anything else than `write` would give."""
    if len(data) < _HEADER.size:
        raise FormatError(f"{len(data)} bytes are too few for a set of examples")
    magic, version, kind, zero, rows, features = _HEADER.unpack_from(data)
    if (magic, version, zero) != (_MAGIC, _VERSION, 0) or kind not in (0, 1):
        raise FormatError("the bytes are not a set of examples of this protocol version")
    width = 8 if kind == 0 else 4
    if not (1 <= rows <= MAX_ROWS and 1 <= features <= MAX_FEATURES) or len(data) != _HEADER.size + rows * (4 * features + width):
        raise FormatError(f"a set of {rows} rows and {features} features does not have {len(data)} bytes")
    matrix = np.frombuffer(data, "<f4", rows * features, _HEADER.size).reshape(rows, features)
    start = _HEADER.size + 4 * rows * features
    labels = (
        np.frombuffer(data, "<i8", rows, start).astype(np.int64)
        if kind == 0
        else np.frombuffer(data, "<f4", rows, start).astype(np.float32)
    )
    try:
        return Examples(matrix.astype(np.float32, copy=False), labels)
    except DataError as error:
        raise FormatError(f"the examples are not usable: {error}") from error
