"""Exact weighted sums of integer rows in one pass over memory: sum_j w_ij x_j for one or many rows of weights.

All arithmetic is on integers, so the result is the same whichever path computes it and in whichever order (R12).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hansa.model.compiled import Body, Kernel, addresses, compiled, worth_compiling

Rows = Sequence[NDArray[np.signedinteger]]
"""Vectors (d,), all int16 or all int32, contiguous."""

MAX_WEIGHT = 1 << 31
"""Weights are below this in magnitude, so that a machine multiplies 32-bit numbers into 64-bit ones."""

_LANES = 64
_BLOCK = 1 << 14


def weighted_sum(rows: Rows, weights: Sequence[int], onto: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """sum_j weights_j rows_j as int64 (d,), added to `onto` in place where given; the caller keeps sum_j |weights_j| max|x| below 2^62."""
    columns = rows[0].size
    sums = np.empty(columns, np.int64) if onto is None else onto
    whole = columns - columns % _LANES if worth_compiling(len(rows) * columns) else 0
    if whole:
        table, entries = addresses(rows), np.array(weights, np.int64)
        kernel = _sum(8 * rows[0].itemsize, onto is not None)
        kernel(table.ctypes.data, entries.ctypes.data, len(rows), whole, sums.ctypes.data)
    # Blocks stay in the cache while every row is added to them.
    for start in range(whole, columns, _BLOCK):
        span = slice(start, start + _BLOCK)
        block = sums[span]
        if onto is None:
            block.fill(0)
        for row, weight in zip(rows, weights, strict=True):
            block += np.multiply(row[span], weight, dtype=np.int64)
    return sums


def mixed(rows: Rows, weights: NDArray[np.int64], bits: int, long: bool) -> NDArray[np.signedinteger]:
    """weights @ rows, (m, n) by (n, d), as integers of 32 or 64 bits, whichever the caller knows to suffice; weights are not negative."""
    columns, result = rows[0].size, np.dtype(f"int{bits}")
    out = np.empty((len(weights), columns), result)
    # Kernels multiply by 32 bits.
    whole = columns - columns % _LANES if long and int(weights.max()) < MAX_WEIGHT else 0
    if whole:
        # Each row of weights is written as its differences from the commonest weight of every column: the mean of the n - f nearest of
        # n rows, for one, is the sum of all, common to all rows, less f of them.
        common = np.array([_commonest(column) for column in weights.T.tolist()], np.int64)
        lists = [common, *(weights - common)]
        chosen = [np.flatnonzero(each) for each in lists]
        starts = np.concatenate([[0], np.cumsum([each.size for each in chosen])]).astype(np.int64)
        order = np.concatenate(chosen)
        table = addresses(rows)[order]
        entries = np.concatenate([each[places] for each, places in zip(lists, chosen, strict=True)])
        kernel = _mix(8 * rows[0].itemsize, bits)
        kernel(table.ctypes.data, entries.ctypes.data, starts.ctypes.data, len(weights), whole, out.ctypes.data, columns)
    if whole < columns:
        # What 32 bits suffice for is exact in float64 too, in any order of additions, and BLAS multiplies that much faster than integers.
        kind = np.float64 if bits == 32 else np.int64
        out[:, whole:] = weights.astype(kind) @ np.stack([row[whole:] for row in rows]).astype(kind)
    return out


def _commonest(values: list[int]) -> int:
    return max(sorted(set(values)), key=values.count)


def _times(body: Body, row: Any, weight: Any, bits: int, result: int, column: Any) -> Any:
    """weight * 64 columns of a row of `bits` bits, in `result` bits; weights lie in memory as 64 bits but need 32."""
    build = body.builder
    middle, wide = body.vector(32, _LANES), body.vector(result, _LANES)
    values = body.load(body.vector(bits, _LANES), row, column, bits // 8)
    factor = body.spread(middle, build.trunc(weight, middle.element))
    if bits != 32:
        values = build.sext(values, middle)
    if result != 32:
        values, factor = build.sext(values, wide), build.sext(factor, wide)
    return build.mul(values, factor)


@cache
def _sum(bits: int, onto: bool) -> Kernel:
    def write(body: Body) -> None:
        rows, weights, count, columns, out = body.arguments
        wide = body.vector(64, _LANES)
        with body.loop(columns, step=_LANES) as column:
            total = body.variable(body.load(wide, out, column, 8) if onto else body.splat(wide, 0))
            with body.loop(count) as row:
                term = _times(body, body.integer(rows, row), body.integer(weights, row), bits, 64, column)
                body.add_to(total, term)
            body.store(body.value(total), out, column, 8)

    return compiled(5, write)


@cache
def _mix(bits: int, result: int) -> Kernel:
    def write(body: Body) -> None:
        rows, weights, starts, count, columns, out, stride = body.arguments
        build, wide = body.builder, body.vector(result, _LANES)

        def add_list(total: Any, number: Any, column: Any) -> None:
            with body.loop(body.integer(starts, build.add(number, body.number(1))), start=body.integer(starts, number)) as entry:
                body.add_to(total, _times(body, body.integer(rows, entry), body.integer(weights, entry), bits, result, column))

        with body.loop(columns, step=_LANES) as column:
            common, total = body.variable(body.splat(wide, 0)), body.variable(body.splat(wide, 0))
            add_list(common, body.number(0), column)
            with body.loop(count) as number:
                body.assign(total, body.value(common))
                add_list(total, build.add(number, body.number(1)), column)
                body.store(body.value(total), out, build.add(build.mul(number, stride), column), result // 8)

    return compiled(7, write)
