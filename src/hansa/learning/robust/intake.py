"""The intake of a round: what clients sent, sorted into a clean matrix of integers and the malformed rest, which counts as bad rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from hansa.core.errors import ProtocolError
from hansa.learning.robust.preaggregation import AnyRule
from hansa.learning.robust.rule import Rows
from hansa.model.update import largest


@dataclass(frozen=True, slots=True)
class Malformed:
    """A row that was left out: whose, and one sentence why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False, slots=True)
class Intake:
    """The well-formed rows (n, d) in the order of their clients' names, and the others."""

    names: tuple[str, ...]
    rows: Rows
    malformed: tuple[Malformed, ...]

    @classmethod
    def of(cls, candidates: Mapping[str, object], size: int, bits: int = 16) -> Intake:
        """Takes each client's row of `size` integers of `bits` bits, whatever some sent instead; nothing given is changed."""
        kind: np.dtype[np.signedinteger] = np.dtype(f"int{largest(bits).bit_length() + 1}")
        reasons = {name: _fault(candidates[name], size, kind) for name in sorted(candidates)}
        names = tuple(name for name, reason in reasons.items() if not reason)
        rows = np.empty((len(names), size), kind)
        for row, name in zip(rows, names, strict=True):
            row[:] = candidates[name]
        return cls(names, rows, tuple(Malformed(name, reason) for name, reason in reasons.items() if reason))


def remaining(rule: AnyRule, malformed: int) -> AnyRule:
    """The rule for the rows that are left once `malformed` of the f bad ones are known and out; ProtocolError when there were more."""
    changes: dict[str, object] = {}
    if (f := getattr(rule, "f", None)) is not None:
        if malformed > f:
            raise ProtocolError(
                f"{malformed} rows were malformed, but the rule tolerates f={f} bad ones; raise f or leave those clients out"
            )
        changes["f"] = f - malformed
    if (inner := getattr(rule, "rule", None)) is not None:
        changes["rule"] = remaining(inner, malformed)
    return replace(rule, **changes)


def _fault(row: object, size: int, kind: np.dtype[np.signedinteger]) -> str:
    if not isinstance(row, np.ndarray):
        return f"a row is an array, not {type(row).__name__}"
    if row.shape != (size,):
        return f"a row has shape ({size},), not {row.shape}"
    if row.dtype.kind == "f" and not np.isfinite(row).all():
        return "the row holds numbers that are not finite"
    if row.dtype != kind:
        return f"a row is {kind}, not {row.dtype}"
    if size and int(row.min()) < -np.iinfo(kind).max:
        return f"the row holds {int(row.min())}, beyond ±{np.iinfo(kind).max}"
    return ""
