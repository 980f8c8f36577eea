"""What a simulation reports: one record a round, and the whole run."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from hansa.learning.metrics import Evaluation
from hansa.model.state import ModelState


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One round, counted from 1: who took part, what training said, what the test rows said where they were asked.

    `weight` and `steps` are totals over the cohort, `loss` is the clients' mean training loss (None when nobody took part). `left_out` are
    the numbers of clients that a robust rule left out. `seconds` are of wall time, `cpu` of this process and its workers.
    """

    round: int
    clients: int
    weight: int
    steps: int
    loss: float | None
    seconds: float
    cpu: float
    executor: str
    left_out: tuple[int, ...] = ()
    test: Evaluation | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Results:
    """A run: the model at its end, every round's record, and how the executor was chosen, in words."""

    model: ModelState
    records: tuple[Record, ...]
    choice: str

    @property
    def test(self) -> Evaluation | None:
        """The last evaluation on the test rows."""
        return next((record.test for record in reversed(self.records) if record.test is not None), None)
