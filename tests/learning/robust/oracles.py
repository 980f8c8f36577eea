"""Every rule once more, as slowly and plainly as its definition: rows are lists of fractions, and mixtures are written out."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from math import isqrt

import numpy as np

from hansa.learning.robust import (
    AdaptiveClipping,
    AnyRule,
    Bucketing,
    Bulyan,
    CentredClipping,
    GeometricMedian,
    Krum,
    Mean,
    Median,
    MultiKrum,
    NearestNeighbourMixing,
    NormClipping,
    TrimmedMean,
)
from hansa.learning.robust.rule import Combined

Row = list[Fraction]


def exact(matrix: np.ndarray) -> list[Row]:
    return [[Fraction(value) for value in row] for row in matrix.tolist()]


def value(combined: Combined) -> Row:
    return [Fraction(each, combined.weight) for each in combined.values.tolist()]


def squared(a: Row, b: Row) -> Fraction:
    return sum(((x - y) ** 2 for x, y in zip(a, b, strict=True)), Fraction(0))


def mean(rows: list[Row]) -> Row:
    return [sum(column, Fraction(0)) / len(rows) for column in zip(*rows, strict=True)]


def median(rows: list[Row]) -> Row:
    ordered = [sorted(column) for column in zip(*rows, strict=True)]
    return [(column[(len(rows) - 1) // 2] + column[len(rows) // 2]) / 2 for column in ordered]


def trimmed(rows: list[Row], f: int) -> Row:
    return [sum(sorted(column)[f : len(rows) - f], Fraction(0)) / (len(rows) - 2 * f) for column in zip(*rows, strict=True)]


def krum_order(rows: list[Row], f: int, places: list[int]) -> list[int]:
    def score(i: int) -> Fraction:
        near = max(1, len(places) - f - 2)
        return sum(sorted(squared(rows[i], rows[j]) for j in places if j != i)[:near], Fraction(0))

    return sorted(places, key=lambda i: (score(i), i))


def bulyan(rows: list[Row], f: int) -> Row:
    left, chosen = list(range(len(rows))), []
    while len(chosen) < len(rows) - 2 * f:
        best = krum_order(rows, f, left)[0]
        left.remove(best)
        chosen.append(best)
    picked = [rows[i] for i in chosen]
    result = []
    for column, middle in zip(zip(*picked, strict=True), median(picked), strict=True):
        near = sorted(column, key=lambda each, middle=middle: (abs(each - middle), each))[: len(picked) - 2 * f]
        result.append(sum(near, Fraction(0)) / len(near))
    return result


def mixed(rows: list[Row], f: int) -> list[Row]:
    near = [sorted(range(len(rows)), key=lambda j, row=row: (squared(row, rows[j]), j))[: len(rows) - f] for row in rows]
    return [mean([rows[j] for j in chosen]) for chosen in near]


def buckets(rows: list[Row], size: int, seed: int) -> list[Row]:
    order = sorted(range(len(rows)), key=lambda i: hashlib.sha256(f"hansa/bucketing/1\n{seed}\n{i}".encode()).hexdigest())
    return [mean([rows[i] for i in order[start : start + size]]) for start in range(0, len(rows), size)]


def adaptively_clipped(rows: list[Row], f: int) -> list[Row]:
    squares = [squared(row, [Fraction(0)] * len(row)) for row in rows]
    bound = sorted(squares, reverse=True)[2 * f * (len(rows) - f) // len(rows)]
    factors = [Fraction(1) if square <= bound else Fraction(isqrt(int(bound / square * 4**20)), 2**20) for square in squares]
    return [[factor * each for each in row] for factor, row in zip(factors, rows, strict=True)]


def weiszfeld(rows: list[Row], iterations: int) -> np.ndarray:
    points = np.array([[float(each) for each in row] for row in rows], np.longdouble)
    z = np.zeros(points.shape[1], np.longdouble)
    for _ in range(iterations):
        weights = 1 / np.maximum(1, np.sqrt(((points - z) ** 2).sum(axis=1)))
        z = (weights[:, None] * points).sum(axis=0) / weights.sum()
    return z


def centred(rows: list[Row], bound: int, iterations: int) -> np.ndarray:
    points = np.array([[float(each) for each in row] for row in rows], np.longdouble)
    v = np.zeros(points.shape[1], np.longdouble)
    for _ in range(iterations):
        lengths = np.sqrt(((points - v) ** 2).sum(axis=1))
        factors = np.minimum(1, bound / np.maximum(lengths, np.longdouble(1e-30)))
        v = v + (factors[:, None] * (points - v)).mean(axis=0)
    return v


EXACT = (Mean, Median, TrimmedMean, Krum, MultiKrum, Bulyan, NearestNeighbourMixing, Bucketing, AdaptiveClipping)


def answer(rule: AnyRule, rows: list[Row], seed: int = 0) -> Row | np.ndarray:
    """The rule's exact result as fractions; that of the rules with square roots in the sum as long floats."""
    match rule:
        case Mean():
            return mean(rows)
        case Median():
            return median(rows)
        case TrimmedMean(f=f):
            return trimmed(rows, f)
        case Krum(f=f):
            return rows[krum_order(rows, f, list(range(len(rows))))[0]]
        case MultiKrum(f=f, m=m):
            return mean([rows[i] for i in krum_order(rows, f, list(range(len(rows))))[: m or len(rows) - f]])
        case Bulyan(f=f):
            return bulyan(rows, f)
        case GeometricMedian(iterations=iterations):
            return weiszfeld(rows, iterations)
        case CentredClipping(bound=bound, iterations=iterations):
            return centred(rows, bound, iterations)
        case NormClipping(bound=bound):
            return centred(rows, bound, 1)
        case NearestNeighbourMixing(f=f, rule=inner):
            return answer(inner, mixed(rows, f), seed)
        case Bucketing(size=size, rule=inner):
            return answer(inner, buckets(rows, size, seed), seed)
        case AdaptiveClipping(f=f, rule=inner):
            return answer(inner, adaptively_clipped(rows, f), seed)
    raise AssertionError(rule)


def is_exact(rule: AnyRule, wraps: int = 0, clips: bool = False) -> bool:
    """Whether the rule rounds nothing but what its definition rounds: no square roots in its sum, no clipping behind or before mixing."""
    wraps, clips = wraps + hasattr(rule, "rule"), clips or isinstance(rule, AdaptiveClipping)
    if not isinstance(rule, EXACT) or (clips and wraps > 1):
        return False
    return not hasattr(rule, "rule") or is_exact(rule.rule, wraps, clips)
