"""How much a device of a measured speed trains in a round: fewer steps first, then smaller batches with a smaller rate."""

from __future__ import annotations

import math

import msgspec
from msgspec.structs import replace

from hansa.core.errors import DataError, FormatError
from hansa.learning.strategy import MAX_BATCH, MAX_STEPS, LocalTraining, within


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The bounds within which a job's local training may be cut for slow or small sites.

    A site trains at most `seconds` a round, and never fewer than `steps` steps of at least `batch` rows.
    """

    seconds: float
    steps: int = 1
    batch: int = 1

    def __post_init__(self) -> None:
        within("the seconds of local training", self.seconds, 0, 1e7, strict=True)
        if not 1 <= self.steps <= MAX_STEPS or not 1 <= self.batch <= MAX_BATCH:
            raise FormatError(f"the least is {self.steps} steps of {self.batch} rows; it must be 1 to {MAX_STEPS} of 1 to {MAX_BATCH}")


def paced(local: LocalTraining, pace: Pace, rows: int, speed: float) -> LocalTraining:
    """What a site with `rows` rows and a device of `speed` rows a second (both positive) trains: the job's own, or less.

    A batch is never larger than the site; with batches of b instead of B rows the rate is rate * b / B (linear scaling, arXiv:1706.02677).
    When seconds * speed rows are fewer than asked for, steps are left out down to the job's least, and then batches shrink down to its
    least. DataError when that is still too much for the device. A site takes part with replace(strategy, local=paced(...)): FedNova, and
    SCAFFOLD by its controls, then make up for unlike steps and rates.
    """
    if rows < 1 or not 0 < speed < math.inf:
        raise DataError(f"a pace needs at least one row and a measured speed, not {rows} rows and {speed} rows a second")
    batch = min(local.batch, rows)
    least = min(pace.batch, batch)
    budget = math.floor(pace.seconds * speed)
    asked = local.steps or local.epochs * math.ceil(rows / batch)
    floor = min(pace.steps, asked)
    if budget < floor * least:
        raise DataError(
            f"this device trains {budget} rows in the {pace.seconds:g} seconds of a round; the least is {floor} steps of {least}, "
            "so it is too slow for the job"
        )
    seen = asked * batch if local.steps else local.epochs * rows
    if budget >= seen:
        return _with(local, batch, 0)
    steps = max(floor, min(asked, budget // batch))
    return _with(local, min(batch, budget // steps), steps)


def least(local: LocalTraining, pace: Pace, rows: int) -> LocalTraining:
    """The smallest training that the pace allows a site with `rows` rows: what a device is first measured by."""
    batch = min(local.batch, rows)
    asked = local.steps or local.epochs * math.ceil(rows / batch)
    return _with(local, min(pace.batch, batch), min(pace.steps, asked))


def _with(local: LocalTraining, batch: int, steps: int) -> LocalTraining:
    """The same training over such batches, and as many steps if not zero."""
    changed = replace(local, batch=batch, rate=local.rate * batch / local.batch)
    return replace(changed, steps=steps, epochs=0) if steps else changed
