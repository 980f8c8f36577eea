"""The tables that a scenario may name, each with training rows, test rows, and who owns the training rows where that is known."""

from __future__ import annotations

import gzip
import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import ConfigError, DataError, FormatError
from hansa.learning.data import read
from hansa.learning.examples import Examples, split
from hansa.learning.normalisation import Normalisation
from hansa.learning.schema import Categorical, Numeric, Schema
from hansa.simulation.population import Synthetic

TEST = 0.2


class Table(NamedTuple):
    """`owners` (n,): the number of each training row's owner, from 0."""

    training: Examples
    test: Examples
    owners: NDArray[np.intp] | None = None


def shared() -> Path:
    """The folder of data sets that are not part of this package, from HANSA_SHARED."""
    folder = os.environ.get("HANSA_SHARED")
    if not folder or not (Path(folder) / "data").is_dir():
        raise ConfigError("these data are not part of hansa; set HANSA_SHARED to the folder whose data/ holds them, or name others")
    return Path(folder) / "data"


class Digits(msgspec.Struct, frozen=True, tag="digits", forbid_unknown_fields=True):
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, 0 to 1, enlarged bilinearly to `side` pixels."""

    side: int = 8

    def __post_init__(self) -> None:
        if not 8 <= self.side <= 64:
            raise FormatError(f"digits are enlarged to 8 to 64 pixels a side, not {self.side}")

    def open(self, seed: int) -> Table:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = bunch.images.astype(np.float32) / 16
        # Output pixel i looks at (i + 1/2) * 8 / side - 1/2, as images are commonly resized.
        at = np.clip((np.arange(self.side) + 0.5) * 8 / self.side - 0.5, 0, 7)
        low = np.minimum(at.astype(int), 6)
        weights = np.zeros((self.side, 8), np.float32)
        weights[np.arange(self.side), low], weights[np.arange(self.side), low + 1] = 1 - (at - low), at - low
        rows = np.einsum("ia,nab,jb->nij", weights, images, weights).reshape(len(images), -1).astype(np.float32)
        return _halves(Examples(rows, bunch.target.astype(np.int64)), seed)


class BreastCancer(msgspec.Struct, frozen=True, tag="breast-cancer", forbid_unknown_fields=True):
    """scikit-learn's 569 biopsies with 30 measurements, in standard scores of the training rows."""

    def open(self, seed: int) -> Table:
        from sklearn.datasets import load_breast_cancer

        bunch = load_breast_cancer()
        training, test = split(Examples(bunch.data.astype(np.float32), (1 - bunch.target).astype(np.int64)), 1 - TEST, seed % (1 << 32))
        scores = Normalisation.fit(training)
        return Table(scores.apply(training), scores.apply(test))


class Mnist(msgspec.Struct, frozen=True, tag="mnist", forbid_unknown_fields=True):
    """MNIST's 60,000 and 10,000 digits of 28 x 28 pixels, 0 to 1; of the training digits the first `rows` (0: all)."""

    rows: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.rows <= 60_000:
            raise FormatError(f"MNIST has 60000 training digits, not {self.rows}")

    def open(self, seed: int) -> Table:
        folder = shared() / "mnist"
        training, test = (_digits(folder, name) for name in ("train", "t10k"))
        return Table(Examples(training.features[: self.rows or None], training.labels[: self.rows or None]), test)


@lru_cache(maxsize=2)
def _digits(folder: Path, name: str) -> Examples:
    """One part of MNIST; kept, because a study opens it for each of its runs."""
    try:
        images, labels = (gzip.decompress((folder / f"{name}-{kind}-ubyte.gz").read_bytes()) for kind in ("images-idx3", "labels-idx1"))
    except (OSError, EOFError) as error:
        raise ConfigError(f"MNIST cannot be read in {folder} ({error}); look at HANSA_SHARED") from error
    numbers = np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(len(numbers), 784).astype(np.float32)
    return Examples(pixels / np.float32(255), numbers)


_HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
_HEART = ("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal", "num")


class HeartDisease(msgspec.Struct, frozen=True, tag="heart-disease", forbid_unknown_fields=True):
    """Four hospitals' patients, each hospital in its own standard scores; split as in Fed-Heart-Disease (arXiv:2210.04620)."""

    def open(self, seed: int) -> Table:
        categories = {"cp": ("1", "2", "3", "4"), "restecg": ("0", "1", "2")}
        schema = Schema(
            features=tuple(Categorical(name, categories[name]) if name in categories else Numeric(name) for name in _HEART[:10]),
            label="num", classes={"0": 0, "1": 1, "2": 1, "3": 1, "4": 1}, header=_HEART, missing=("?",), drop_missing=True,
        )  # fmt: skip
        parts = [split(read(shared() / "heart_disease" / f"processed.{name}.data", schema), 0.66, 43) for name in _HOSPITALS]
        scores = [Normalisation.fit(training) for training, _ in parts]
        training = [each.apply(rows) for each, (rows, _) in zip(scores, parts, strict=True)]
        test = [each.apply(rows) for each, (_, rows) in zip(scores, parts, strict=True)]
        owners = np.repeat(np.arange(len(training)), [len(rows) for rows in training])
        return Table(_joined(training), _joined(test), owners)


class Csv(msgspec.Struct, frozen=True, tag="csv", forbid_unknown_fields=True):
    """A CSV, Parquet or NPZ file by its schema; a `test` share is held out, and the other rows are put in standard scores unless `raw`.

    `owner` names a column that says whose each row is; the file must then have no row that the schema drops. Paths are relative to the
    working directory.
    """

    path: str
    columns: Schema
    test: float = TEST
    raw: bool = False
    owner: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.test < 1:
            raise FormatError(f"a share of {self.test} cannot be held out for tests; give above 0 and below 1")

    def open(self, seed: int) -> Table:
        rows = read(Path(self.path), self.columns)
        chosen = np.random.default_rng(seed).permutation(len(rows))
        count = max(1, round(self.test * len(rows)))
        if count >= len(rows):
            raise DataError(f"{self.path} has {len(rows)} rows, too few to hold some out")
        held, kept = np.sort(chosen[:count]), np.sort(chosen[count:])
        training, test = rows.take(kept), rows.take(held)
        scores = None if self.raw else Normalisation.fit(training)
        owners = None
        if self.owner:
            names = self._owners(len(rows))[kept]
            owners = np.unique(names, return_inverse=True)[1].astype(np.intp)
        return Table(training, test, owners) if scores is None else Table(scores.apply(training), scores.apply(test), owners)

    def _owners(self, count: int) -> NDArray[np.str_]:
        import pyarrow
        from pyarrow import csv

        if not self.path.endswith(".csv"):
            raise ConfigError("owners are read from a CSV file; write the table as one")
        try:
            names = csv.read_csv(self.path, read_options=csv.ReadOptions(column_names=list(self.columns.header) or None))
            column = names.column(self.owner)
        except (KeyError, pyarrow.ArrowException) as error:
            raise DataError(f"{self.path} has no column {self.owner!r} that says whose rows they are ({error})") from error
        if len(column) != count:
            raise DataError(f"{self.path} has {len(column)} rows of which {count} are complete; with owners every row must be")
        return np.array([str(name) for name in column.to_pylist()])


Source = Digits | BreastCancer | Mnist | HeartDisease | Csv | Synthetic


def _halves(examples: Examples, seed: int) -> Table:
    return Table(*split(examples, 1 - TEST, seed % (1 << 32)))


def _joined(parts: list[Examples]) -> Examples:
    return Examples(np.concatenate([part.features for part in parts]), np.concatenate([part.labels for part in parts]))
