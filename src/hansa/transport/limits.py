"""What a node lets others take of it: sizes, places, and a token bucket for each sender."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hansa.core.clock import Clock
from hansa.core.types import Address

CHUNK = 256 << 10
"""Bytes given to a socket at once; it drains between two of them, so that no message lies in its buffer as a whole."""


class Limits(msgspec.Struct, frozen=True):
    """Bounds on what others may take of this node; sizes in bytes, rates in requests a second."""

    body: int = 4 << 20
    """Body of one request, unless `bodies` names its kind."""
    bodies: Mapping[str, int] = {}
    requests: int = 256
    """Requests in progress, in all."""
    requests_per_sender: int = 64
    buffered: int = 256 << 20
    """Bytes of bodies in progress, in all."""
    buffered_per_sender: int = 64 << 20
    rate: float = 1000.0
    """Sustained requests of one sender. Times the time nonces are remembered, it must stay below what `ReplayGuard` holds for one."""
    burst: float = 2000.0
    connections: int = 1024
    """Open connections, in all."""

    def of(self, kind: str) -> int:
        """Largest body of a request of this kind."""
        return self.bodies.get(kind, self.body)


class TokenBuckets:
    """One bucket for each sender: `burst` requests at once, `rate` a second in the long run; at most `senders` are remembered."""

    def __init__(self, rate: float, burst: float, clock: Clock, *, senders: int = 4096) -> None:
        self._rate, self._burst, self._clock, self._senders = rate, burst, clock, senders
        self._buckets: dict[Address, tuple[float, float]] = {}

    def take(self, sender: Address) -> bool:
        """Whether `sender` may go on now; takes one token if so. False, too, for an unknown sender while the table is full."""
        now = self._clock.now()
        if sender not in self._buckets and len(self._buckets) >= self._senders:
            self._forget_full(now)
            if len(self._buckets) >= self._senders:
                return False
        tokens = self._level(sender, now)
        if tokens < 1:
            return False
        self._buckets[sender] = (tokens - 1, now)
        return True

    def _level(self, sender: Address, now: float) -> float:
        tokens, since = self._buckets.get(sender, (self._burst, now))
        return min(self._burst, tokens + max(0.0, now - since) * self._rate)

    def _forget_full(self, now: float) -> None:
        # A full bucket and none are the same thing.
        self._buckets = {sender: bucket for sender, bucket in self._buckets.items() if self._level(sender, now) < self._burst}
