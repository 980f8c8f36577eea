"""What evaluating a model on rows found, as sums, so that parts add up to the whole."""

from __future__ import annotations

import msgspec

from hansa.core.errors import DataError


class Evaluation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sums over `rows` rows: of the objective's loss (nats or squared units) and of right answers; `correct` is None for regression."""

    rows: int
    loss_sum: float
    correct: int | None = None

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise DataError("nothing was evaluated; give at least one row")

    @property
    def loss(self) -> float:
        """Mean loss per row."""
        return self.loss_sum / self.rows

    @property
    def accuracy(self) -> float | None:
        """Share of rows answered rightly: the likelier class, at a threshold of one half for two classes."""
        return None if self.correct is None else self.correct / self.rows

    def __add__(self, other: Evaluation) -> Evaluation:
        """The evaluation over both sets of rows."""
        if (self.correct is None) != (other.correct is None):
            raise DataError("a classification and a regression cannot be added up")
        correct = None if self.correct is None or other.correct is None else self.correct + other.correct
        return Evaluation(self.rows + other.rows, self.loss_sum + other.loss_sum, correct)
