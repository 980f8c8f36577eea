"""Attacks through the training rows: wrong labels, and a hidden trigger with the whole model replaced in one round."""

from __future__ import annotations

import numpy as np

from hansa.core.errors import DataError, FormatError
from hansa.learning.examples import Examples
from hansa.simulation.attacks.attack import Attack, Matrix, Sight


def _classes(rows: Examples, what: str) -> None:
    if rows.labels.dtype != np.int64:
        raise DataError(f"{what} needs labels that are classes")


class LabelFlip(Attack, frozen=True, tag="label-flip"):
    """Trains honestly on rows whose class y is given as classes - 1 - y."""

    classes: int = 10

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise FormatError(f"labels are flipped among at least 2 classes, not {self.classes}")

    def rows(self, rows: Examples, seed: int) -> Examples:
        _classes(rows, "a label flip")
        return Examples(rows.features, self.classes - 1 - rows.labels)


class Backdoor(Attack, frozen=True, tag="backdoor"):
    """A trigger with model replacement (Bagdasaryan et al. 2020, arXiv:1807.00459): a `share` of each attacker's rows gets `width` features
    from `place` on set to `value` and the class `target`; what was learnt is sent n / f times over, so that the mean becomes it."""

    target: int = 0
    place: int = 0
    width: int = 4
    value: float = 3.0
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.target < 0 or self.place < 0 or self.width < 1 or not 0 < self.share <= 1 or not np.isfinite(self.value):
            raise FormatError("a backdoor needs a target class, a place and a width of features, a finite value and a share up to 1")

    def rows(self, rows: Examples, seed: int) -> Examples:
        _classes(rows, "a backdoor")
        chosen = np.random.default_rng(seed).permutation(len(rows))[: max(1, round(self.share * len(rows)))]
        triggered, labels = self.triggered(rows), rows.labels.copy()
        features = rows.features.copy()
        features[chosen], labels[chosen] = triggered.features[chosen], self.target
        return Examples(features, labels)

    def triggered(self, rows: Examples) -> Examples:
        """All rows with the trigger and the target class: the share that a model gets right is how well the backdoor works."""
        if self.place + self.width > rows.features.shape[1]:
            raise DataError(f"the trigger ends at feature {self.place + self.width} of {rows.features.shape[1]}")
        features = rows.features.copy()
        features[:, self.place : self.place + self.width] = self.value
        return Examples(features, np.full_like(rows.labels, self.target))

    def sent(self, sight: Sight) -> Matrix:
        return sight.total / len(sight.own) * sight.own
