"""Each signed request is accepted once: nonces are remembered until their deadline, in bounded memory that refuses rather than forgets."""

from __future__ import annotations

import math

from hansa.core.clock import Clock
from hansa.core.errors import EnvelopeError
from hansa.core.types import Address

MAX_AHEAD = 300
"""Seconds that a deadline may lie ahead of the receiver's clock: how long a nonce has to be remembered at most."""


class ReplayGuard:
    """Remembers (sender, deadline, nonce) until the deadline has passed.

    Memory dies with the process, so a process that may have had a predecessor says when it started. The predecessor accepted no
    deadline beyond its last moment + MAX_AHEAD, hence none beyond start + MAX_AHEAD: exactly those are refused, and nothing that was
    accepted before is accepted again. Honest senders set deadlines `envelope.LIFETIME` ahead, a few seconds less than MAX_AHEAD, so
    that they are heard again after those few seconds.
    """

    def __init__(self, clock: Clock, *, restarted_at: float | None = None, per_sender: int = 1 << 19, in_all: int = 1 << 20) -> None:
        """`restarted_at` is the start of this process if its account ever answered before, else None."""
        self._clock = clock
        self._floor = -math.inf if restarted_at is None else restarted_at + MAX_AHEAD
        self._per_sender, self._in_all = per_sender, in_all
        self._seen: dict[Address, dict[int, set[int]]] = {}
        self._counts: dict[Address, int] = {}
        self._total = 0
        self._swept = -math.inf

    def __len__(self) -> int:
        """Nonces remembered now."""
        return self._total

    def admit(self, sender: Address, deadline: int, nonce: bytes) -> None:
        """Accept a nonce once; EnvelopeError when it was seen, when the process restarted a moment ago, or when memory is full."""
        if deadline <= self._floor:
            raise EnvelopeError(
                "this node restarted a moment ago and cannot tell new requests from replays yet; sign again in some seconds"
            )
        self._forget_expired()
        if deadline < self._swept:  # also when the wall clock was set back after its nonces were forgotten
            raise EnvelopeError("the request has expired; check the clock and sign a new one")
        # 64 of its bits tell a sender's own nonces apart, and a replay has them all.
        short = int.from_bytes(nonce[:8], "big")
        seen = self._seen.get(sender, {}).get(deadline, ())
        if short in seen:
            raise EnvelopeError("this request was received before; sign a new one with a fresh nonce")
        if self._counts.get(sender, 0) >= self._per_sender or self._total >= self._in_all:
            raise EnvelopeError("too many requests are remembered; wait until the oldest have expired")
        self._seen.setdefault(sender, {}).setdefault(deadline, set()).add(short)
        self._counts[sender] = self._counts.get(sender, 0) + 1
        self._total += 1

    def _forget_expired(self) -> None:
        now = math.floor(self._clock.now())
        if now <= self._swept:
            return
        self._swept = now
        for sender, by_deadline in list(self._seen.items()):
            for deadline in [deadline for deadline in by_deadline if deadline < now]:
                gone = len(by_deadline.pop(deadline))
                self._counts[sender] -= gone
                self._total -= gone
            if not by_deadline:
                del self._seen[sender], self._counts[sender]
