"""Standard scores per feature, from a site's own training rows, so that no statistic has to leave it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import DataError
from hansa.learning.examples import Examples
from hansa.learning.schema import Schema

_EPSILON = 1e-9


def standardised(rows: Examples, schema: Schema) -> Examples:
    """A table's rows in their own standard scores; a text's token ids as they are."""
    return rows if schema.text is not None else Normalisation.fit(rows).apply(rows)


@dataclass(frozen=True, eq=False, slots=True)
class Normalisation:
    """z = (x - mean) / (deviation + 1e-9) per feature, float64 (k,); a feature without spread in the fitted rows becomes 0 everywhere."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def fit(cls, examples: Examples) -> Normalisation:
        """Mean and standard deviation (n - 1 in the denominator) of these rows; a constant feature gets the deviation 0 exactly."""
        features = examples.features.astype(np.float64)
        # Rounding gives a constant like 0.1 a tiny spread, which would blow up the first differing value elsewhere.
        constant = features.max(axis=0) == features.min(axis=0)
        spread = features.std(axis=0, ddof=1) if len(examples) > 1 else np.zeros(features.shape[1])
        return cls(features.mean(axis=0), np.where(constant, 0.0, spread))

    def apply(self, examples: Examples) -> Examples:
        """The rows in standard scores; DataError when they have another number of features."""
        if examples.features.shape[1] != len(self.mean):
            raise DataError(f"rows with {examples.features.shape[1]} features do not fit statistics of {len(self.mean)}")
        scores = (examples.features - self.mean) / (self.deviation + _EPSILON)
        return Examples(np.where(self.deviation == 0, 0.0, scores).astype(np.float32), examples.labels)
