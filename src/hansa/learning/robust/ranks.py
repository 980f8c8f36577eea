"""Sums of order statistics, coordinate by coordinate: the median, the trimmed mean and the second phase of Bulyan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hansa.learning.robust.network import network
from hansa.model.compiled import Body, Kernel, addresses, compiled, vector_bytes

Column = Sequence[NDArray[np.signedinteger]]
"""Rows (d,) of one integer type, contiguous; the sum of any of their values at one coordinate stays below 2^62."""

Reduction = Callable[[Column, bool], NDArray[np.int64]]
"""From rows to one vector (d,); compiled when told that the vectors are long."""


def rank_sum(rows: Column, ranks: range, long: bool) -> NDArray[np.int64]:
    """The sum of the values with these ranks (0 is the smallest) at every coordinate."""
    return _reduced(rows, _by_ranks(ranks), _rank_kernel, ranks, long)


def nearest_sum(rows: Column, count: int, long: bool) -> NDArray[np.int64]:
    """The sum of the `count` values nearest the median at every coordinate; of two equally near, the smaller counts as nearer."""
    return _reduced(rows, _by_nearness(count), _nearest_kernel, count, long)


def _reduced(rows: Column, small: Callable[..., Any], kernel: Callable[..., Kernel], what: Any, long: bool) -> NDArray[np.int64]:
    columns, bits = rows[0].size, 8 * rows[0].itemsize
    out = np.empty(columns, np.int64)
    whole = columns - columns % (vector_bytes() * 8 // bits) if long else 0
    if whole:
        table = addresses(rows)
        kernel(len(rows), bits, what)(table.ctypes.data, whole, out.ctypes.data)
    if whole < columns:
        out[whole:] = small(np.sort(np.stack([row[whole:] for row in rows]), axis=0))
    return out


def _by_ranks(ranks: range) -> Callable[[NDArray[np.signedinteger]], NDArray[np.int64]]:
    return lambda ordered: ordered[ranks.start : ranks.stop].sum(axis=0, dtype=np.int64)


def _by_nearness(count: int) -> Callable[[NDArray[np.signedinteger]], NDArray[np.int64]]:
    def total(ordered: NDArray[np.signedinteger]) -> NDArray[np.int64]:
        ordered = ordered.astype(np.int64)
        last = len(ordered) - 1
        middle = ordered[last // 2] + ordered[(last + 1) // 2]
        # The nearest values are neighbours in order: the window moves up by one while the value it gains is nearer than the one it loses.
        sums: NDArray[np.int64] = ordered[:count].sum(axis=0)
        for lost, gained in zip(ordered, ordered[count:], strict=False):
            sums += np.where(lost + gained < middle, gained - lost, 0)
        return sums

    return total


def _ordered(body: Body, rows: Any, column: Any, count: int, bits: int, ranks: range) -> list[Any]:
    kind = body.vector(bits, vector_bytes() * 8 // bits)
    wires = [body.load(kind, body.integer(rows, body.number(row)), column, bits // 8) for row in range(count)]
    for i, j, low, high in network(count, ranks):
        smaller, larger = wires[i], wires[j]
        if low:
            wires[i] = body.call("smin", smaller, larger)
        if high:
            wires[j] = body.call("smax", smaller, larger)
    return wires


def _column_kernel(count: int, bits: int, ranks: range, total: Callable[[Body, list[Any]], Any]) -> Kernel:
    lanes = vector_bytes() * 8 // bits
    # Fewer than 2^11 values of 16 bits sum within 32, of 32 bits within 64; wider ones are bounded by the caller.
    middle = 32 if bits == 16 else 64

    def write(body: Body) -> None:
        rows, columns, out = body.arguments
        with body.loop(columns, step=lanes) as column:
            wires = _ordered(body, rows, column, count, bits, ranks)
            wide = [wires[rank] if bits == 64 else body.builder.sext(wires[rank], body.vector(middle, lanes)) for rank in ranks]
            result = total(body, wide)
            body.store(result if middle == 64 else body.builder.sext(result, body.vector(64, lanes)), out, column, 8)

    return compiled(3, write)


@lru_cache(64)
def _rank_kernel(count: int, bits: int, ranks: range) -> Kernel:
    def total(body: Body, wide: list[Any]) -> Any:
        result = wide[0]
        for each in wide[1:]:
            result = body.builder.add(result, each)
        return result

    return _column_kernel(count, bits, ranks, total)


@lru_cache(64)
def _nearest_kernel(count: int, bits: int, near: int) -> Kernel:
    def total(body: Body, wide: list[Any]) -> Any:
        build, none = body.builder, body.splat(wide[0].type, 0)
        middle, result = build.add(wide[(count - 1) // 2], wide[count // 2]), wide[0]
        for each in wide[1:near]:
            result = build.add(result, each)
        for lost, gained in zip(wide, wide[near:], strict=False):
            nearer = build.icmp_signed("<", build.add(lost, gained), middle)
            result = build.add(result, build.select(nearer, build.sub(gained, lost), none))
        return result

    return _column_kernel(count, bits, range(count), total)
