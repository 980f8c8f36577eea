"""Sorting networks: a fixed sequence of compare-exchanges that sorts any n values, cut down to what a few ranks need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

Comparator = tuple[int, int, bool, bool]
"""Wires i < j, and whether the smaller value (kept on i) and the larger (kept on j) are needed later."""


@cache
def network(wires: int, ranks: range) -> tuple[Comparator, ...]:
    """Batcher's odd-even merge sort (Batcher 1968) of `wires` values, without every comparison that no rank in `ranks` depends on."""
    needed, kept = set(ranks), list[Comparator]()
    for i, j in reversed(list(_sort(0, 1 << max(wires - 1, 0).bit_length(), wires))):
        if i in needed or j in needed:
            kept.append((i, j, i in needed, j in needed))
            needed |= {i, j}
    return tuple(reversed(kept))


def _sort(low: int, count: int, wires: int) -> Iterator[tuple[int, int]]:
    if count > 1:
        half = count // 2
        yield from _sort(low, half, wires)
        yield from _sort(low + half, half, wires)
        yield from _merge(low, count, 1, wires)


def _merge(low: int, count: int, stride: int, wires: int) -> Iterator[tuple[int, int]]:
    """Merges two sorted halves of the wires low, low + stride, ..."""
    double = stride * 2
    pairs: Iterable[int] = (low,)
    if double < count:
        yield from _merge(low, count, double, wires)
        yield from _merge(low + stride, count, double, wires)
        pairs = range(low + stride, low + count - stride, double)
    # Wires past the last would hold plus infinity: comparing with them changes nothing.
    yield from ((i, i + stride) for i in pairs if i + stride < wires)
