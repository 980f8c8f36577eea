"""A model's bytes: safetensors in its one canonical form, so that the same state always has the same digest.

    u64 little-endian length of the header | header, JSON padded with spaces to 8 bytes | float32 little-endian, tensor after tensor

The header follows from the layout alone. A reader therefore compares it byte for byte before it looks at a single value: foreign metadata,
holes, overlaps, repeated keys and lying lengths cannot pass.
"""

from __future__ import annotations

import struct
from functools import lru_cache

import msgspec
import numpy as np

from hansa.core.errors import FormatError
from hansa.model.layout import Layout
from hansa.model.state import ModelState

_PREFIX = struct.Struct("<Q")
_MAX_HEADER = 1 << 20


class _Entry(msgspec.Struct):
    dtype: str = ""
    shape: tuple[int, ...] = ()


@lru_cache(maxsize=16)
def _header(layout: Layout) -> bytes:
    entries = {
        tensor.name: {"dtype": "F32", "shape": tensor.shape, "data_offsets": [4 * span.start, 4 * span.stop]}
        for tensor, span in layout.spans()
    }
    text = msgspec.json.encode(entries)
    return text + b" " * (-len(text) % 8)


def encode(state: ModelState) -> bytes:
    """The state as a safetensors file: a pure function of layout and vector."""
    header = _header(state.layout)
    return b"".join([_PREFIX.pack(len(header)), header, state.vector.astype("<f4", copy=False).data])


def size(layout: Layout) -> int:
    """How many bytes a state of the layout has."""
    return _PREFIX.size + len(_header(layout)) + 4 * layout.size


def decode(data: bytes | memoryview, layout: Layout) -> ModelState:
    """The state of `layout` that these bytes hold, without copying them; FormatError when they are not exactly its canonical form."""
    header = _header(layout)
    start = _PREFIX.size + len(header)
    if len(data) != start + 4 * layout.size or data[:start] != _PREFIX.pack(len(header)) + header:
        raise FormatError(_difference(memoryview(data), layout, start + 4 * layout.size))
    return ModelState(layout, np.frombuffer(data, dtype="<f4", offset=start).astype(np.float32, copy=False))


def _difference(data: memoryview, layout: Layout, expected: int) -> str:
    """One sentence on how a file departs from the expected one."""
    if len(data) < _PREFIX.size:
        return f"a model of {len(data)} bytes is too short to be safetensors"
    (length,) = _PREFIX.unpack_from(data)
    if length > min(_MAX_HEADER, len(data) - _PREFIX.size):
        return f"the model declares a header of {length} bytes, which exceeds the file or the limit of {_MAX_HEADER}"
    try:
        entries = msgspec.json.decode(data[_PREFIX.size : _PREFIX.size + length], type=dict[str, _Entry])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"the model's header is not that of safetensors: {error}"
    wanted = {tensor.name: tensor for tensor in layout.tensors}
    for name, entry in entries.items():
        if name not in wanted:
            return f"the model holds {name[:128]!r}, which the job's layout does not know; send its tensors alone, without metadata"
        if entry.dtype != "F32" or entry.shape != wanted[name].shape:
            return f"tensor {name} must be F32 of shape {wanted[name].shape} in the job's layout"
    for name in wanted:
        if name not in entries:
            return f"the model lacks tensor {name}"
    if len(data) != expected:
        return f"a model of {len(data)} bytes was sent where the job's layout needs {expected}"
    return "the model is not in canonical form; write it with hansa's encoder"
