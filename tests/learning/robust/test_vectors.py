"""The published values of other implementations, met through fixed point: reals in steps of 2^-28, so each coordinate is off by 2^-29."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hansa.learning.robust import (
    AdaptiveClipping,
    AnyRule,
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
from hansa.learning.robust.bulyan import selection
from hansa.learning.robust.gram import gram, squared_distances
from hansa.learning.robust.krum import scores

STEP = 2.0**-28
F = 3

CLOSE: list[tuple[AnyRule, str]] = [
    (Mean(), "average"),
    (Median(), "median"),
    (TrimmedMean(F), "trmean"),
    (TrimmedMean(F), "flwr_trim_mean"),
    (Krum(F), "krum_nf1"),
    (MultiKrum(F), "multikrum_nf1"),
    (MultiKrum(F), "mda"),
    (Bulyan(F), "paper_bulyan_own_float64"),
    (NearestNeighbourMixing(F, TrimmedMean(F)), "nnm_trmean"),
    (NearestNeighbourMixing(F, Median()), "nnm_cwmed"),
    (NearestNeighbourMixing(F, Krum(F)), "nnm_krum_nf1"),
]
"""Exact in integers, so only the input's steps are between us: 1e-8."""

ROUNDED: list[tuple[AnyRule, str]] = [
    (GeometricMedian(F, 3), "geomed_T3_nu0.1"),
    (GeometricMedian(F, 100), "geomed_T100_nu1e-6"),
    (CentredClipping(F, round(5 / STEP), 1), "cclip_L1_tau5"),
    (CentredClipping(F, round(5 / STEP), 3), "cclip_L3_tau5"),
]
"""Weights of 20 binary digits per row: 2^-20 of rows as long as 10 are 1e-5; the rows here give less than 3e-6."""


@pytest.fixture
def vectors(shared: Path) -> dict[str, np.ndarray]:
    return dict(np.load(shared / "vectors" / "aggregators_n15_d64_f3.npz"))


@pytest.fixture
def rows(vectors: dict[str, np.ndarray]) -> np.ndarray:
    fixed = np.rint(vectors["X"] / STEP)
    assert np.abs(fixed).max() < 2**31
    return fixed.astype(np.int32)


def real(rule: AnyRule, rows: np.ndarray) -> np.ndarray:
    combined = rule.apply(rows)
    return combined.values * STEP / combined.weight


@pytest.mark.parametrize(("rule", "key"), CLOSE, ids=[key for _, key in CLOSE])
def test_exact_rules_meet_the_reference(rule: AnyRule, key: str, rows: np.ndarray, vectors: dict[str, np.ndarray]) -> None:
    assert np.abs(real(rule, rows) - vectors[key]).max() < 1e-8


@pytest.mark.parametrize(("rule", "key"), ROUNDED, ids=[key for _, key in ROUNDED])
def test_rules_with_roots_meet_the_reference(rule: AnyRule, key: str, rows: np.ndarray, vectors: dict[str, np.ndarray]) -> None:
    assert np.abs(real(rule, rows) - vectors[key]).max() < 3e-6


def test_pre_aggregated_rows_meet_the_reference_under_two_rules(rows: np.ndarray, vectors: dict[str, np.ndarray]) -> None:
    assert np.abs(real(NearestNeighbourMixing(F, Mean()), rows) - vectors["nnm"].mean(axis=0)).max() < 1e-8
    assert np.abs(real(AdaptiveClipping(F, Mean()), rows) - vectors["arc"].mean(axis=0)).max() < 3e-6
    assert np.abs(real(AdaptiveClipping(F, Median()), rows) - np.median(vectors["arc"], axis=0)).max() < 3e-6
    assert np.abs(real(NormClipping(round(2 / STEP)), rows) - vectors["clip_c2"].mean(axis=0)).max() < 3e-6


def test_the_rows_chosen_are_the_references(rows: np.ndarray, vectors: dict[str, np.ndarray]) -> None:
    assert Krum(F).apply(rows).left_out == tuple(i for i in range(15) if i != int(vectors["flwr_krum_nf2_index"]))
    chosen = vectors["flwr_multikrum_nf2_m12_indices"].tolist()
    assert MultiKrum(F, 12).apply(rows).left_out == tuple(i for i in range(15) if i not in chosen)
    assert selection(squared_distances(gram(rows)), F) == [0, 3, 4, 5, 7, 8, 9, 12, 13]


def test_bulyan_is_the_papers_and_not_the_one_that_selects_at_once(rows: np.ndarray, vectors: dict[str, np.ndarray]) -> None:
    assert np.abs(real(Bulyan(F), rows) - vectors["flwr_bulyan_oneshot"]).max() > 1


def test_the_tiny_case_tells_the_papers_krum_from_its_variant(shared: Path) -> None:
    tiny = json.loads((shared / "vectors" / "krum_tiny.json").read_text())
    points = np.rint(np.array(tiny["points"]) * 1000).astype(np.int16)
    distances = squared_distances(gram(points))
    assert np.abs(np.array(distances) / 1e6 - tiny["sq_distances"]).max() < 1e-12
    assert np.abs(np.array(scores(distances, tiny["f"])) / 1e6 - tiny["scores_paper"]).max() < 1e-12
    krum = Krum(tiny["f"]).apply(points)
    assert krum.values.tolist() == points[tiny["krum_index_paper"]].tolist() and krum.left_out == (0, 1, 3, 4)
    assert Median().apply(points).values[0] / 1000 == tiny["median"]
    trimmed = TrimmedMean(1).apply(points)
    assert trimmed.values[0] / trimmed.weight / 1000 == pytest.approx(tiny["trimmed_mean_f1"], abs=1e-15)


def test_the_gram_matrix_is_equal_to_the_last_bit(shared: Path) -> None:
    exact = np.load(shared / "vectors" / "exact_int16_gram.npz")
    assert gram(exact["q"]) == exact["G"].tolist()
    order = np.random.default_rng(0).permutation(64)
    assert gram(np.ascontiguousarray(exact["q"][:, order])) == exact["G"].tolist()
