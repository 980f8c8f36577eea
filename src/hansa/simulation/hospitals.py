"""Four hospitals with real patients' measurements, no two alike, and a client with a fifth of the patients that no hospital has.

The Wisconsin diagnostic breast-cancer set (569 rows, 30 features, CC BY 4.0) comes with scikit-learn. A stratified fifth stays with the
client for progress and acceptance; the rest is split unevenly, and each hospital sees another share of malignant cases.
"""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

SIZES = {"charite": 0.38, "karolinska": 0.28, "hopital-nord": 0.21, "san-marco": 0.13}
MALIGNANT = {"charite": 0.55, "karolinska": 0.35, "hopital-nord": 0.25, "san-marco": 0.20}
"""Relative share of malignant cases; scaled so that together they use what there is."""

Rows = NDArray[np.float64]
Labels = NDArray[np.int64]


class Clinic(msgspec.Struct, frozen=True):
    """One party's rows: features (n, 30) float64 as measured, labels (n,) with 1 for malignant."""

    features: Rows
    labels: Labels


class Patients(msgspec.Struct, frozen=True):
    """The whole split: what each hospital holds, what the client holds, and the column names."""

    columns: tuple[str, ...]
    hospitals: dict[str, Clinic]
    client: Clinic


def patients(seed: int = 2) -> Patients:
    """The split for one seed; disjoint, every row in one place."""
    bunch = load_breast_cancer()
    features, labels = bunch.data, 1 - bunch.target
    everyone = np.arange(len(labels))
    train, held = train_test_split(everyone, test_size=0.2, stratify=labels, random_state=seed)
    rng = np.random.default_rng(seed)
    malignant = list(rng.permutation(train[labels[train] == 1]))
    benign = list(rng.permutation(train[labels[train] == 0]))
    weight = sum(SIZES[name] * MALIGNANT[name] for name in SIZES)
    scale = len(malignant) / (len(train) * weight)
    hospitals = {}
    for place, name in enumerate(SIZES):
        last = place == len(SIZES) - 1
        size = round(SIZES[name] * len(train))
        ill = len(malignant) if last else round(size * MALIGNANT[name] * scale)
        well = len(benign) if last else size - ill
        rows = np.array(malignant[:ill] + benign[:well])
        malignant, benign = malignant[ill:], benign[well:]
        hospitals[name] = Clinic(features[rows], labels[rows])
    columns = tuple(str(name).replace(" ", "_") for name in bunch.feature_names)
    return Patients(columns, hospitals, Clinic(features[held], labels[held]))


def write_csv(clinic: Clinic, columns: tuple[str, ...], path: Path) -> None:
    """The hospital's own file: one row per patient, the features and the diagnosis as a word."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*columns, "diagnosis"))
        for features, label in zip(clinic.features, clinic.labels, strict=True):
            writer.writerow((*(repr(float(value)) for value in features), "malignant" if label else "benign"))
