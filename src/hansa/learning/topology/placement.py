"""Where peers stand on the grid: public, the same for everybody who knows the members of each round and the seed.

After a round along an axis each peer's coordinate there becomes the place that a permutation, drawn from the group's id, gives to the old
one: no two peers of a group collide, and a hole in the grid does not part the same peers for ever (Ryabinin et al. 2021, arXiv:2103.03239).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hansa.core.errors import ProtocolError
from hansa.learning.topology.declaration import Grid
from hansa.learning.topology.draw import draw, permutation, shuffled

Cell = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """The cell of each peer on the declared grid; no cell holds two."""

    grid: Grid
    cells: Mapping[str, Cell] = field(default_factory=dict)

    def admit(self, newcomers: Iterable[str], seed: int, round: int) -> Placement:
        """The placement with newcomers in free cells, drawn for this round; ProtocolError when there are too few."""
        entering = sorted(newcomers)
        if any(name in self.cells for name in entering):
            raise ProtocolError("a peer that stands on the grid cannot enter it again; it leaves first")
        self.grid.check_peers(max(1, len(self.cells) + len(entering)))
        if not entering:
            return self
        taken = set(self.cells.values())
        every = itertools.product(range(self.grid.side), repeat=self.grid.dimensions)
        free = {",".join(map(str, cell)): cell for cell in every if cell not in taken}
        drawn = shuffled(free, "cells", seed, round)
        return Placement(self.grid, {**self.cells, **{name: free[cell] for name, cell in zip(entering, drawn, strict=False)}})

    def without(self, leavers: Iterable[str]) -> Placement:
        """The placement when these are gone; their cells are free."""
        gone = set(leavers)
        return Placement(self.grid, {name: cell for name, cell in self.cells.items() if name not in gone})

    def groups(self, round: int) -> dict[Cell, tuple[str, ...]]:
        """Who averages with whom: peers equal in all coordinates but the round's axis, ascending by name, under those coordinates."""
        axis, found = round % self.grid.dimensions, dict[Cell, list[str]]()
        for name in sorted(self.cells):
            cell = self.cells[name]
            found.setdefault(cell[:axis] + cell[axis + 1 :], []).append(name)
        return {line: tuple(found[line]) for line in sorted(found)}

    def redrawn(self, seed: int, round: int) -> Placement:
        """The placement after a round: within each group coordinates along the round's axis are permuted by a draw from the group's id."""
        axis, cells = round % self.grid.dimensions, dict(self.cells)
        for line, group in self.groups(round).items():
            moved = permutation(self.grid.side, group_id(seed, round, line).hex())
            for name in group:
                cell = self.cells[name]
                cells[name] = (*cell[:axis], moved[cell[axis]], *cell[axis + 1 :])
        return Placement(self.grid, cells)


def group_id(seed: int, round: int, line: Cell) -> bytes:
    """32 bytes that name one group of one round."""
    return draw("group", seed, round, *line)
