"""PowerSGD: each matrix travels as two thin factors, one power iteration from the last round's (Vogels et al. 2019, arXiv:1905.13727).

The factors are integers and their product is an exact integer product, so everyone reconstructs the same update, however it multiplies:
the sums stay below 2^53, where float64 is exact. Tensors that two factors would not make smaller travel as they are.

Wire form, tensor by tensor in the layout's order: for a matrix n x m an i8 `shift`, then the factors P (n, r) and Q (m, r) as int16, row by
row, and the tensor is round(P Q^T * 2^-shift) within the grid; for any other tensor its integers of the grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.compression.compression import Grid, check_length
from hansa.learning.compression.feedback import check_decay, encode, initial_error
from hansa.model.layout import Layout
from hansa.model.stages import Measurements, State
from hansa.model.state import Vector
from hansa.model.update import Integers

MAX_RANK = 64
MAX_EXTENT = 1 << 23
"""Rows or columns of a matrix: 2^23 products of two 15-bit integers sum below 2^53."""

MAX_SHIFT = 100

_FULL = 32767

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A tensor's place, and its extents as a matrix, or 0 and 0 when it travels as it is."""

    span: slice
    rows: int
    columns: int


class PowerSgd(msgspec.Struct, frozen=True, tag="power-sgd", forbid_unknown_fields=True):
    """Factors of `rank` for each matrix (further axes are flattened into columns); what is not sent waits, times `decay`."""

    rank: int = 4
    decay: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= MAX_RANK:
            raise FormatError(f"the rank is {self.rank}; it must be 1 to {MAX_RANK}")
        check_decay(self.decay)

    def check(self, layout: Layout) -> None:
        if not any(piece.rows for piece in self._pieces(layout)):
            raise FormatError(
                f"no tensor of the layout is a matrix that factors of rank {self.rank} make smaller; use top-k or a lower rank"
            )

    def grid(self, grid: Grid) -> Grid:
        return grid

    def initial(self, layout: Layout) -> State:
        """The error, and the factors Q of all matrices, one after the other."""
        factors = [_start(piece.columns, self.rank).ravel() for piece in self._pieces(layout) if piece.rows]
        return *initial_error(self, layout), np.concatenate([np.empty(0), *factors]).astype(np.float32)

    def encode(self, grid: Grid, value: Vector, state: State, seed: int) -> tuple[bytes, State, Measurements]:
        return encode(self, grid, value, state, seed)

    def pack(self, grid: Grid, value: Vector, state: State, seed: int) -> tuple[bytes, State, Measurements]:
        """The bytes without error feedback; the state is Q alone."""
        pieces = self._pieces(grid.layout)
        (warm,) = state if len(state) == 1 else (np.empty(0, np.float32),)
        if warm.shape != (sum(piece.columns for piece in pieces) * self.rank,) or warm.dtype != np.float32:
            raise ProtocolError("the state is not that of PowerSGD of this rank on this layout; start from initial()")
        parts, factors, start, saturated = [], [np.empty(0, np.float32)], 0, 0
        for piece, scale in zip(pieces, grid.scales, strict=True):
            if not piece.rows:
                integers, beyond = grid.round_at(np.arange(piece.span.start, piece.span.stop), value)
                parts.append(grid.write(integers))
                saturated += beyond
                continue
            end = start + piece.columns * self.rank
            last = warm[start:end].reshape(piece.columns, self.rank).astype(np.float64)
            left, right, shift = _factors(value[piece.span].reshape(piece.rows, piece.columns), last, scale)
            parts += [shift.to_bytes(1, "little", signed=True), left.astype("<i2").tobytes(), right.astype("<i2").tobytes()]
            factors.append(right.astype(np.float32).ravel())
            start = end
        return b"".join(parts), (np.concatenate(factors),), {"compression.saturated": saturated / value.size}

    def decode(self, grid: Grid, data: bytes | memoryview, seed: int) -> Integers:
        check_length(data, self.limit(grid))
        dense, start = np.empty(grid.layout.size, grid.integers), 0
        for piece in self._pieces(grid.layout):
            if not piece.rows:
                count = piece.span.stop - piece.span.start
                dense[piece.span] = grid.read(data, count, start)
                start += count * grid.width
                continue
            shift = int.from_bytes(data[start : start + 1], "little", signed=True)
            if not -MAX_SHIFT <= shift <= MAX_SHIFT:
                raise FormatError(f"the shift {shift} of a compressed update is beyond ±{MAX_SHIFT}")
            count = (piece.rows + piece.columns) * self.rank
            factors = np.frombuffer(data, "<i2", count, start + 1).astype(np.float64).reshape(-1, self.rank)
            if int(factors.min()) < -_FULL:
                raise FormatError(f"a factor of a compressed update holds {int(factors.min())}, but they lie between ±{_FULL}")
            product = factors[: piece.rows] @ factors[piece.rows :].T
            product *= 2.0**-shift
            np.clip(np.rint(product, out=product), -grid.largest, grid.largest, out=product)
            dense[piece.span] = product.ravel()
            start += 1 + 2 * count
        return dense

    def limit(self, grid: Grid) -> int:
        size = 0
        for piece in self._pieces(grid.layout):
            factors = 1 + 2 * self.rank * (piece.rows + piece.columns)
            size += factors if piece.rows else (piece.span.stop - piece.span.start) * grid.width
        return size

    def restore(self, grid: Grid, sums: NDArray[np.signedinteger], seed: int) -> NDArray[np.float64]:
        return grid.reals(sums)

    def _pieces(self, layout: Layout) -> list[_Piece]:
        pieces = []
        for tensor, span in layout.spans():
            rows = tensor.shape[0] if tensor.shape else 1
            columns = tensor.size // rows
            smaller = self.rank * (rows + columns) < tensor.size and max(rows, columns) <= MAX_EXTENT
            pieces.append(_Piece(span, rows, columns) if smaller else _Piece(span, 0, 0))
        return pieces


def _start(columns: int, rank: int) -> Matrix:
    """The first Q (columns, rank): integers within ±32767 that look random, the same on every machine."""
    words = np.random.PCG64(columns).random_raw(columns * rank) >> np.uint64(48)
    return np.maximum(words.astype(np.float64).reshape(columns, rank) - 32768, -_FULL)


def _factors(matrix: NDArray[np.float32], last: Matrix, scale: float) -> tuple[Matrix, Matrix, int]:
    """Integers P (n, r), Q (m, r) and the shift with P Q^T * 2^-shift near the matrix / scale, from the last Q."""
    rows, exponent = _to_integers(matrix.astype(np.float64))
    # A column of zeros would stay zero for ever; it starts afresh.
    fresh = np.where(np.abs(last).any(axis=0), last, _start(*last.shape))
    left = _to_integers(_orthogonal(rows @ fresh))[0]
    right = rows.T @ left
    # Each column's share of the matrix in units of the grid, by its own length: the columns are orthogonal but for rounding.
    lengths = np.array([max(1, int(length)) for length in np.square(left.astype(np.int64)).sum(axis=0)], np.float64)
    right = right / lengths * (2.0**-exponent / scale)
    right, shift = _to_integers(right)
    return left, right, shift


def _to_integers(matrix: Matrix) -> tuple[Matrix, int]:
    """round(x * 2^exponent) within ±32767, by the exponent that makes the largest magnitude at least 16384; 0 for zeros."""
    highest = float(np.abs(matrix).max())
    exponent = 15 - math.frexp(highest)[1] if highest else 0
    exponent = max(-MAX_SHIFT, min(MAX_SHIFT, exponent))
    return np.clip(np.rint(matrix * 2.0**exponent), -_FULL, _FULL), exponent


def _orthogonal(columns: Matrix) -> Matrix:
    """Gram-Schmidt in order of the columns (n, r); a column that the others span is zero. `fsum` rounds a sum once, in whatever order."""
    result = np.zeros_like(columns)
    for place in range(columns.shape[1]):
        column = columns[:, place].copy()
        before = math.fsum(column * column)
        for other in range(place):
            column -= math.fsum(column * result[:, other]) * result[:, other]
        length = math.fsum(column * column)
        # Below the rounding of 16-bit integers what is left is noise.
        if length > before * 2.0**-30 and length:
            result[:, place] = column / math.sqrt(length)
    return result
