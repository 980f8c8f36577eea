"""The exact Gram matrix of integer rows: every distance-based rule reads the updates once for it and then works on n x n integers."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hansa.learning.robust.rule import Rows
from hansa.model.compiled import Body, Kernel, addresses, compiled, vector_bytes, worth_compiling

Square = list[list[int]]
"""An n x n matrix of Python integers: whatever is computed from it cannot overflow."""

_FLOAT_COLUMNS = 1 << 16
"""|q| <= 2^15, so a float64 product of blocks this wide stays below 2^46 and is exact in whatever order it is summed."""

_STEPS = 64
"""Vectors of one row that the kernel sums in 32-bit lanes before it widens them; n rows of such a block stay in the second-level cache."""

_TALL, _WIDE = 4, 2
"""Rows against rows in one step of the kernel: 16 accumulators fit the registers."""

_CHUNK = 1 << 18


def gram(rows: Rows) -> Square:
    """x_i . x_j for all pairs of rows (n, d), exactly."""
    if rows.dtype != np.int16:
        return _gram32(rows)
    square: Square = _gram16(rows, worth_compiling(rows.size)).tolist()
    return square


def squared_distances(gram: Square) -> Square:
    """|x_i - x_j|^2 = G_ii + G_jj - 2 G_ij, exactly."""
    return [[gram[i][i] + gram[j][j] - 2 * each for j, each in enumerate(row)] for i, row in enumerate(gram)]


def congruence(weights: NDArray[np.int64], gram: Square) -> Square:
    """W G W^T: the Gram matrix of the rows W x."""
    bound = int(np.abs(weights).sum(axis=1).max()) ** 2 * max(map(max, gram))
    # |G_ij| <= max G_ii by Cauchy and Schwarz, which bounds every partial sum; Python's integers take over where 64 bits might not do.
    kind: type = np.int64 if bound < 1 << 63 else object
    left: NDArray[Any] = weights.astype(kind)
    square: Square = (left @ np.array(gram, dtype=kind) @ left.T).tolist()
    return square


def _gram16(rows: Rows, long: bool) -> NDArray[np.int64]:
    count, columns = rows.shape
    whole = columns - columns % (vector_bytes() // 2) if long else 0
    square = _kernel_gram(rows, whole) if whole else np.zeros((count, count), np.int64)
    for start in range(whole, columns, _FLOAT_COLUMNS):
        block = rows[:, start : start + _FLOAT_COLUMNS].astype(np.float64)
        square += (block @ block.T).astype(np.int64)
    return square


def _gram32(rows: Rows) -> Square:
    """From the 16-bit Gram matrix of the halves: q = 2^16 a + b + 2^15 with a, b in 16 bits, and a row of ones for the constant."""
    count, columns = rows.shape
    halves = np.zeros((2 * count + 1, 2 * count + 1), np.int64)
    for start in range(0, columns, _CHUNK):
        block = rows[:, start : start + _CHUNK]
        split = np.ones((2 * count + 1, block.shape[1]), np.int16)
        split[:count] = block >> 16
        split[count:-1] = (block & 0xFFFF) - (1 << 15)
        halves += _gram16(split, worth_compiling(rows.size))
    exact = halves.astype(object)
    upper, cross, lower = exact[:count, :count], exact[:count, count:-1], exact[count:-1, count:-1]
    constant = (exact[:count, -1] << 16) + exact[count:-1, -1]
    square: Square = (
        (upper << 32) + ((cross + cross.T) << 16) + lower + ((constant[:, None] + constant[None, :]) << 15) + (columns << 30)
    ).tolist()
    return square


def _kernel_gram(rows: Rows, columns: int) -> NDArray[np.int64]:
    count = len(rows)
    # Tiles reach past the last row; what they compute there is cut off below.
    table = addresses([rows[min(i, count - 1)] for i in range(count + _TALL)])
    tiles = [(i, j) for i in range(0, count, _TALL) for j in range(0, count, _WIDE) if j < i + _TALL]
    places = np.array(tiles, np.int64)
    sums = np.zeros((len(tiles), _TALL, _WIDE), np.int64)
    _kernel()(table.ctypes.data, places.ctypes.data, len(tiles), columns, sums.ctypes.data)
    square = np.zeros((count + _TALL, count + _TALL), np.int64)
    for (i, j), tile in zip(tiles, sums, strict=True):
        square[i : i + _TALL, j : j + _WIDE] = tile
        square[j : j + _WIDE, i : i + _TALL] = tile.T
    return square[:count, :count].copy()


@cache
def _kernel() -> Kernel:
    lanes = vector_bytes() // 2

    def write(body: Body) -> None:
        # x y = 2^8 x h + x l with y = 2^8 h + l, -2^7 <= h < 2^7 and 0 <= l < 2^8. Two neighbouring products are below 2^24 in magnitude,
        # so the 64 pairs that one 32-bit lane sums stay below 2^30: exact, with one multiply-add instruction per pair.
        build = body.builder
        rows, tiles, count, columns, out = body.arguments
        short, middle = body.vector(16, lanes), body.vector(32, lanes)
        half, wide = body.vector(32, lanes // 2), body.vector(64, lanes // 2)
        with body.loop(columns, step=_STEPS * lanes) as start, body.loop(count) as tile:
            left, block, offset = build.sub(columns, start), body.number(_STEPS * lanes), build.mul(start, body.number(2))
            size = build.select(build.icmp_signed("<", left, block), left, block)
            tall, broad = (body.integer(tiles, build.add(build.mul(tile, body.number(2)), body.number(k))) for k in range(2))
            xs = [build.add(body.integer(rows, build.add(tall, body.number(i))), offset) for i in range(_TALL)]
            ys = [build.add(body.integer(rows, build.add(broad, body.number(j))), offset) for j in range(_WIDE)]
            pairs = [(i, j) for i in range(_TALL) for j in range(_WIDE)]
            sums = {pair: [body.variable(body.splat(half, 0)) for _ in range(2)] for pair in pairs}
            with body.loop(size, step=lanes) as column:
                x = [build.sext(body.load(short, row, column, 2), middle) for row in xs]
                y = [body.load(short, row, column, 2) for row in ys]
                parts = [(build.ashr(each, body.splat(short, 8)), build.and_(each, body.splat(short, 255))) for each in y]
                for i, j in pairs:
                    for place, part in zip(sums[i, j], parts[j], strict=True):
                        product = build.mul(x[i], build.sext(part, middle))
                        body.add_to(place, build.add(body.every_second(product, 0), body.every_second(product, 1)))
            for number, pair in enumerate(pairs):
                high, low = (build.sext(body.value(place), wide) for place in sums[pair])
                total = body.total(build.add(build.shl(high, body.splat(wide, 8)), low))
                place = build.add(build.mul(tile, body.number(len(pairs))), body.number(number))
                body.store(build.add(body.integer(out, place), total), out, place, 8)

    return compiled(5, write)
