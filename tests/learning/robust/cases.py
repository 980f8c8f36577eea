"""Rules and rows that several tests share."""

from __future__ import annotations

from collections.abc import Callable

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

KINDS = (np.int16, np.int32)


def rules(f: int) -> list[AnyRule]:
    """One of every rule, and the usual rules behind one another, each for at least 4f + 3 rows."""
    return [
        Mean(),
        Median(),
        TrimmedMean(f),
        Krum(f),
        MultiKrum(f),
        MultiKrum(f, 2),
        Bulyan(f),
        GeometricMedian(f, 8),
        NormClipping(300_000),
        CentredClipping(f, 300_000, 3),
        NearestNeighbourMixing(f, Mean()),
        NearestNeighbourMixing(f, Median()),
        NearestNeighbourMixing(f, TrimmedMean(f)),
        NearestNeighbourMixing(f, Krum(f)),
        NearestNeighbourMixing(f, Bulyan(f)),
        NearestNeighbourMixing(f, GeometricMedian(f, 5)),
        NearestNeighbourMixing(f, CentredClipping(f, 300_000, 2)),
        Bucketing(2, Median()),
        Bucketing(3, MultiKrum(0)),
        Bucketing(2, NearestNeighbourMixing(f, TrimmedMean(f))),
        AdaptiveClipping(f, Mean()),
        AdaptiveClipping(f, TrimmedMean(f)),
        AdaptiveClipping(f, Krum(f)),
        AdaptiveClipping(f, NearestNeighbourMixing(f, TrimmedMean(f))),
        NearestNeighbourMixing(f, AdaptiveClipping(f, Median())),
    ]


def normal(rows: int, columns: int, kind: type, seed: int = 0) -> np.ndarray:
    """Rows about a common offset, the last sixth of them four times as far."""
    random = np.random.default_rng(seed)
    top = np.iinfo(kind).max
    values = random.standard_normal((rows, columns)) * top / 10 + top / 40
    values[rows - rows // 6 :] *= 4
    return np.rint(values).clip(-top, top).astype(kind)


def extreme(rows: int, columns: int, kind: type, seed: int = 0) -> np.ndarray:
    """Nothing but the largest, the smallest and a few other numbers: many ties and the widest sums."""
    top = np.iinfo(kind).max
    return np.random.default_rng(seed).choice(np.array([-top, -top, top, top, top - 1, 0, 1], kind), (rows, columns))


def offset(rows: int, columns: int, kind: type, seed: int = 0) -> np.ndarray:
    """Weights of about 10 with a spread of 1e-3: distances that single precision loses."""
    top = np.iinfo(kind).max
    return (top - 10 + np.random.default_rng(seed).integers(-9, 10, (rows, columns))).astype(kind)


SHAPES: dict[str, Callable[..., np.ndarray]] = {"normal": normal, "extreme": extreme, "offset": offset}
