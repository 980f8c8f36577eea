"""Rows ready for training: a matrix of features and a vector of labels, with their digest and their split."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import DataError, FormatError
from hansa.core.types import Digest


@dataclass(frozen=True, eq=False, slots=True)
class Examples:
    """Features float32 (n, k) and labels (n,): int64 for classes, float32 for numbers; DataError when empty, misshapen or not finite."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64] | NDArray[np.float32]

    def __post_init__(self) -> None:
        features, labels = self.features, self.labels
        if (
            features.dtype != np.float32
            or features.ndim != 2
            or labels.dtype not in (np.int64, np.float32)
            or labels.shape != features.shape[:1]
        ):
            raise DataError("rows are float32 (n, k) with labels int64 or float32 (n,); convert them before use")
        if not features.size:
            raise DataError("the data set is empty; it needs at least one row and one feature")
        if not np.isfinite(features).all() or not np.isfinite(labels).all():
            raise DataError("the data set holds values that are not finite; remove or impute them")

    def __len__(self) -> int:
        return len(self.labels)

    def newest(self, count: int) -> Examples:
        """The last `count` rows, or all there are."""
        return Examples(self.features[-count:], self.labels[-count:])

    def take(self, rows: NDArray[np.intp]) -> Examples:
        """The given rows, in the given order."""
        return Examples(self.features[rows], self.labels[rows])


def digest(examples: Examples, salt: bytes) -> Digest:
    """sha256(salt, n, k, label type, features, labels), little-endian; the 32-byte salt keeps small tables from being guessed (R17)."""
    if len(salt) != 32:
        raise FormatError(f"a data set's salt has 32 bytes from the operating system's generator, not {len(salt)}")
    kind = b"class" if examples.labels.dtype == np.int64 else b"value"
    parts = [salt, struct.pack("<QQ5s", *examples.features.shape, kind)]
    parts += [np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes() for values in (examples.features, examples.labels)]
    return Digest(hashlib.sha256(b"".join(parts)).digest())


def split(examples: Examples, share: float, seed: int) -> tuple[Examples, Examples]:
    """Two disjoint parts, the first with about `share` of the rows, shuffled by `seed`; DataError when one of them would be empty.

    Classes keep their shares when there are at least two of them with more than two rows each; scikit-learn's `train_test_split` draws.
    """
    if not 0 <= seed < 1 << 32 or not 0 < share < 1:
        raise DataError(f"a split needs a share between 0 and 1 and a seed of 0 to 2^32 - 1, not {share} and {seed}")
    from sklearn.model_selection import train_test_split

    stratify = None
    if examples.labels.dtype == np.int64:
        _, counts = np.unique(examples.labels, return_counts=True)
        stratify = examples.labels if len(counts) > 1 and counts.min() > 2 else None
    try:
        first, second = train_test_split(np.arange(len(examples)), train_size=share, random_state=seed, shuffle=True, stratify=stratify)
    except ValueError as error:
        raise DataError(f"{len(examples)} rows cannot be split at {share:g}: {error}") from error
    return examples.take(first), examples.take(second)
