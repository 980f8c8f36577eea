"""What the rules of a job's specification have in common: they combine any mixture of rows, so that one can wrap another."""

from __future__ import annotations

import msgspec
import numpy as np

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.robust.mixture import MAX_ROWS, Mixture
from hansa.learning.robust.rule import Combined, Rows

MAX_TOLERANCE = MAX_ROWS // 2


class DeclaredRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule as a job declares it; subclasses say what they need and how they combine."""

    def check(self, rows: int) -> None:
        raise NotImplementedError

    def combine(self, mixture: Mixture, seed: int) -> Combined:
        """The rule on a mixture whose size has passed `check`."""
        raise NotImplementedError

    def apply(self, rows: Rows, seed: int = 0) -> Combined:
        if rows.dtype not in (np.int16, np.int32) or rows.ndim != 2 or not rows.size or not rows.flags.c_contiguous:
            raise FormatError(f"a rule takes a C-contiguous matrix of int16 or int32, not {rows.dtype} of shape {rows.shape}")
        if len(rows) > MAX_ROWS:
            raise ProtocolError(f"a rule takes at most {MAX_ROWS} rows, not {len(rows)}; combine them in groups")
        self.check(len(rows))
        return self.combine(Mixture(rows), seed)


def check_tolerance(f: int) -> None:
    """FormatError unless f is a number of bad rows that a rule can tolerate."""
    if not 0 <= f <= MAX_TOLERANCE:
        raise FormatError(f"f is how many bad rows a rule tolerates, 0 to {MAX_TOLERANCE}, not {f}")


def check_rows(what: str, rows: int, least: int, instead: str) -> None:
    """ProtocolError unless there are `least` rows."""
    if rows < least:
        raise ProtocolError(f"{what} needs at least {least} rows, not {rows}; {instead}")


def check_majority(what: str, f: int, rows: int) -> None:
    """ProtocolError unless n > 2f, without which no rule can tell good rows from bad."""
    check_rows(f"{what} with f={f}", rows, 2 * f + 1, f"with {rows} rows f can be {max(rows - 1, 0) // 2} at most, or seat more clients")
