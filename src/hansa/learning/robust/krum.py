"""Krum and Multi-Krum (Blanchard et al. 2017, arXiv:1703.02757): the rows with the closest neighbours."""

from __future__ import annotations

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.robust.declared import DeclaredRule, check_rows, check_tolerance
from hansa.learning.robust.gram import Square
from hansa.learning.robust.mixture import MAX_ROWS, Mixture
from hansa.learning.robust.rule import Combined


def scores(distances: Square, f: int) -> list[int]:
    """Of every row the sum of the squared distances to its n - f - 2 nearest other rows, as in the paper."""
    near = len(distances) - f - 2
    return [sum(sorted(row[:i] + row[i + 1 :])[:near]) for i, row in enumerate(distances)]


def _ranking(distances: Square, f: int) -> list[int]:
    score = scores(distances, f)
    # sorted is stable: of equal scores the first row wins.
    return sorted(range(len(score)), key=score.__getitem__)


def _check(what: str, f: int, rows: int) -> None:
    instead = f"with {rows} rows f can be {(rows - 3) // 2} at most" if rows >= 3 else "seat more clients"
    check_rows(f"{what} with f={f}", rows, 2 * f + 3, f"{instead}, or use the trimmed mean, which needs {2 * f + 1}")


class Krum(DeclaredRule, frozen=True, tag="krum"):
    """The one row of smallest score; n >= 2f + 3."""

    f: int

    def __post_init__(self) -> None:
        check_tolerance(self.f)

    def check(self, rows: int) -> None:
        _check("Krum", self.f, rows)

    def combine(self, mixture: Mixture, seed: int) -> Combined:
        best = _ranking(mixture.distances, self.f)[0]
        return mixture.weighted([int(i == best) for i in range(mixture.size)], 1)


class MultiKrum(DeclaredRule, frozen=True, tag="multi-krum"):
    """The mean of the m rows of smallest score; m = 0 stands for n - f, the most there can be; n >= 2f + 3."""

    f: int
    m: int = 0

    def __post_init__(self) -> None:
        check_tolerance(self.f)
        if not 0 <= self.m <= MAX_ROWS:
            raise FormatError(f"Multi-Krum averages m rows, 1 to n - f, or 0 for n - f, not {self.m}")

    def check(self, rows: int) -> None:
        _check("Multi-Krum", self.f, rows)
        if self.m > rows - self.f:
            raise ProtocolError(f"Multi-Krum cannot average m={self.m} of {rows} rows with f={self.f}; m can be {rows - self.f} at most")

    def combine(self, mixture: Mixture, seed: int) -> Combined:
        count = self.m or mixture.size - self.f
        chosen = set(_ranking(mixture.distances, self.f)[:count])
        return mixture.weighted([int(i in chosen) for i in range(mixture.size)], count)
