"""Protocol time in memory: the twin of the contract `Clock` (R16)."""

from __future__ import annotations

from hansa.core.clock import Clock


class ProtocolClock:
    """Block time in whole seconds less the pauses that were too long to count; `max_gap` in seconds."""

    def __init__(self, wall: Clock, max_gap: int) -> None:
        self._wall = wall
        self.max_gap = max_gap
        self.last = int(wall.now())
        self.extension = 0

    def tick(self) -> int:
        """Record the block time; answers the protocol time in seconds."""
        at = int(self._wall.now())
        if at - self.last > self.max_gap:
            self.extension += at - self.last
        self.last = at
        return at - self.extension

    def time(self) -> int:
        """Protocol time as a tick now would answer it."""
        at = int(self._wall.now())
        gap = at - self.last
        return at - self.extension - (gap if gap > self.max_gap else 0)

    def due(self) -> bool:
        """Whether half of the longest pause has passed: somebody has to tick, or deadlines stand still."""
        return int(self._wall.now()) - self.last >= self.max_gap / 2
