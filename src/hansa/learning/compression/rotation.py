"""A random rotation that spreads a vector evenly: y = H D x / sqrt(B) in blocks of B = 1024 (Suresh et al. 2017, arXiv:1611.00429).

D are public random signs, H is the Walsh-Hadamard matrix, which needs additions only: the client rotates in float before it quantises, and
the sum of everyone's integers is rotated back exactly in int64. Each tensor is cut into blocks of its own, so that its scale stays its own;
its last block is the smallest power of two that holds the rest, filled with zeros.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError, ProtocolError
from hansa.model.layout import MAX_SIZE, Layout, Tensor
from hansa.model.state import Vector
from hansa.model.update import Scales

BLOCK = 1024
SUM_LIMIT = 1 << 52
"""Sums below this in magnitude stay below 2^62 through ten levels of additions."""

_TOGETHER = 32
"""Blocks turned at a time, so that they stay in cache."""


def rotated_size(size: int) -> int:
    """Coordinates of a tensor of `size` once rotated."""
    tail = size % BLOCK
    return size - tail + (1 << (tail - 1).bit_length() if tail else 0)


def rotated_layout(layout: Layout) -> Layout:
    """The same tensors, each flat and filled up to whole blocks; FormatError when they are more than a layout may hold."""
    sizes = [rotated_size(tensor.size) for tensor in layout.tensors]
    if sum(sizes) > MAX_SIZE:
        raise FormatError(
            f"a layout of {layout.size} elements is too large to be rotated in blocks of {BLOCK}; quantise it without rotation"
        )
    return Layout(tuple(Tensor(tensor.name, (size,)) for tensor, size in zip(layout.tensors, sizes, strict=True)))


def rotate(layout: Layout, value: Vector, seed: int) -> Vector:
    """The rotated vector, float32 (d',), of a float32 vector (d,); of the same length but for rounding."""
    result = np.zeros(rotated_layout(layout).size, np.float32)
    for before, after in _spans(layout):
        result[after] = value[before]
    result *= _signs(result.size, seed)
    for _, part, width in _parts(layout):
        _transform(result[part].reshape(-1, width))
        result[part] *= np.float32(1 / math.sqrt(width))
    return result


def rotate_back(layout: Layout, scales: Scales, sums: NDArray[np.signedinteger], seed: int) -> NDArray[np.float64]:
    """Reals (d,) of a sum of rotated integers (d',): exact until one multiplication by scale / sqrt(B) per coordinate.

    ProtocolError when a sum could leave int64 on the way; FormatError when they are not integers of the rotated layout.
    """
    size = rotated_layout(layout).size
    if sums.dtype.kind != "i" or sums.shape != (size,):
        raise FormatError(f"a sum of rotated updates is integers of shape ({size},), not {sums.dtype} of shape {sums.shape}")
    turned = sums.astype(np.int64)
    if max(int(turned.max()), -int(turned.min())) >= SUM_LIMIT:
        raise ProtocolError("a sum of rotated updates is beyond 2^52, where it cannot be rotated back exactly; use smaller weights")
    for _, part, width in _parts(layout):
        _transform(turned[part].reshape(-1, width))
    turned *= _signs(size, seed)
    reals = turned.astype(np.float64)
    for tensor, part, width in _parts(layout):
        reals[part] *= scales[tensor] / math.sqrt(width)
    return np.concatenate([reals[after] for _, after in _spans(layout)])


def _spans(layout: Layout) -> Iterator[tuple[slice, slice]]:
    """Each tensor's place in the vector and in the rotated one, there without what fills it up."""
    start = 0
    for tensor, span in layout.spans():
        yield span, slice(start, start + tensor.size)
        start += rotated_size(tensor.size)


def _parts(layout: Layout) -> Iterator[tuple[int, slice, int]]:
    """The runs of equal blocks of the rotated vector: number of the tensor, place, and length of a block."""
    start = 0
    for number, tensor in enumerate(layout.tensors):
        full, end = tensor.size // BLOCK * BLOCK, rotated_size(tensor.size)
        if full:
            yield number, slice(start, start + full), BLOCK
        if end > full:
            yield number, slice(start + full, start + end), end - full
        start += end


def _signs(size: int, seed: int) -> NDArray[np.int8]:
    """+1 or -1 for each coordinate (size,), from raw PCG64 words, whose stream numpy promises for ever."""
    words = np.random.PCG64(seed).random_raw(-(-size // 64)).astype("<u8")
    signs: NDArray[np.int8] = 1 - 2 * np.unpackbits(words.view(np.uint8), count=size, bitorder="little").view(np.int8)
    return signs


def _transform(rows: NDArray[Any]) -> None:
    """H times each row (n, B), in place: log2 B passes, each the sums and differences of the two halves, interleaved."""
    width = rows.shape[1]
    for start in range(0, len(rows), _TOGETHER):
        some = rows[start : start + _TOGETHER]
        # Turned on its side, so that each pass runs along memory.
        before = np.ascontiguousarray(some.T)
        after = np.empty_like(before)
        for _ in range(width.bit_length() - 1):
            upper, lower = before.reshape(2, width // 2, -1)
            pairs = after.reshape(width // 2, 2, -1)
            np.add(upper, lower, out=pairs[:, 0])
            np.subtract(upper, lower, out=pairs[:, 1])
            before, after = after, before
        some[...] = before.T
