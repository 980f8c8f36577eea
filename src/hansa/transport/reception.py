"""The desk at which every request arrives, whatever carried it: who may come in, how much of it, and which sentence sends it away."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from hansa.core.clock import Clock
from hansa.core.encoding import sha256
from hansa.core.errors import EnvelopeError, FormatError, HansaError, ProtocolError, StorageError
from hansa.core.ports import Handler, RangeHandler
from hansa.core.types import Address, BlobRef, Envelope
from hansa.identity.envelope import accept, inspect, is_kind
from hansa.identity.replay import ReplayGuard
from hansa.identity.typed import Domain
from hansa.transport.limits import Limits, TokenBuckets

log = logging.getLogger(__name__)

BLOB = "blob"
"""The kind of envelope that authorises reading a range of a blob."""

MAX_SENTENCE = 500


class Refusal(HansaError):
    """A request that is sent away: an HTTP status and one sentence for the sender."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def range_digest(ref: BlobRef, offset: int, length: int) -> bytes:
    """What the envelope of a range request signs in place of a body: sha256 of digest, size, offset and length (u64, big-endian)."""
    return sha256(b"".join([ref.digest, *(number.to_bytes(8, "big") for number in (ref.size, offset, length))]))


class Reception:
    """Checks requests in the order of their cost and hands them to handlers; holds all that others can make this node remember."""

    def __init__(
        self, account: Address, domain: Domain, clock: Clock, replay: ReplayGuard, admit: Callable[[Address], bool], limits: Limits
    ) -> None:
        """`account` is whom requests must be addressed to; `admit` says who may talk to this node at all."""
        self.limits = limits
        self._account, self._domain, self._clock, self._replay, self._admit = account, domain, clock, replay, admit
        self._buckets = TokenBuckets(limits.rate, limits.burst, clock)
        self._busy: Counter[Address] = Counter()
        self._buffered: Counter[Address] = Counter()
        self._handlers: Mapping[str, Handler] = {}
        self._blobs: RangeHandler | None = None

    def open(self, handlers: Mapping[str, Handler], blobs: RangeHandler | None) -> None:
        """Whom to hand requests to from now on; ProtocolError for a name that cannot be a kind of request."""
        for kind in handlers:
            if not is_kind(kind) or kind == BLOB:
                raise ProtocolError(
                    f"{kind!r:.60} cannot be served; a kind is 1 to 32 lower-case letters, digits, hyphens, and not {BLOB!r}"
                )
        self._handlers, self._blobs = dict(handlers), blobs

    @property
    def busy(self) -> int:
        """Requests in progress."""
        return self._busy.total()

    def expect(self, kind: str, length: int) -> None:
        """Refuse, before anything else is looked at, what has no handler or is too long."""
        if kind not in self._handlers:
            raise Refusal(404, f"this node does not serve requests of kind {kind!r:.40}")
        if length > self.limits.of(kind):
            raise Refusal(413, f"a body of {length} bytes exceeds the limit of {self.limits.of(kind)} for {kind!r:.40}")

    @contextmanager
    def enter(self, envelope: Envelope, kind: str, length: int) -> Iterator[Address]:
        """A place for one request whose body is not read yet: the proven sender, or a Refusal."""
        if envelope.kind != kind:
            raise Refusal(401, "the envelope was signed for another kind of request")
        # Whom we do not know, we do not even check: this costs nothing, a signature costs 50 microseconds.
        if not self._admit(Address(envelope.sender)):
            raise Refusal(403, f"{envelope.sender:.42} is not admitted here; only members of this node's jobs and network are")
        try:
            sender = inspect(envelope, self._account, self._domain, self._clock.now())
        except EnvelopeError as error:
            raise Refusal(401, str(error)) from error
        if not self._buckets.take(sender):
            raise Refusal(429, f"too many requests; send at most {self.limits.rate:g} a second")
        if self._busy[sender] >= self.limits.requests_per_sender:
            raise Refusal(429, f"{self.limits.requests_per_sender} of your requests are in progress; wait for their answers")
        if self._buffered[sender] + length > self.limits.buffered_per_sender:
            raise Refusal(429, f"{self._buffered[sender]} bytes of yours are in progress; wait for their answers")
        if self.busy >= self.limits.requests or self._buffered.total() + length > self.limits.buffered:
            raise Refusal(503, "this node is busy; try again in a moment")
        self._busy[sender] += 1
        self._buffered[sender] += length
        try:
            yield sender
        finally:
            self._buffered[sender] -= length
            self._busy[sender] -= 1
            if not self._busy[sender]:
                del self._busy[sender], self._buffered[sender]

    def accept(self, envelope: Envelope, body_digest: bytes) -> None:
        """The last check, once the body is there; a Refusal when it is another body or came before."""
        try:
            accept(envelope, body_digest, self._replay)
        except EnvelopeError as error:
            raise Refusal(401, str(error)) from error

    async def handle(self, envelope: Envelope, body: bytes) -> bytes:
        """The handler's answer, or a Refusal with its sentence; what else goes wrong stays in this node's log."""
        try:
            return await self._handlers[envelope.kind](envelope, body)
        except HansaError as error:
            raise refusal_of(error) from error
        except Exception as error:
            log.exception("the handler of %s failed", envelope.kind)
            raise Refusal(500, "this node failed on the request; its operator finds the reason in its log") from error

    async def read(self, requester: Address, ref: BlobRef, offset: int, length: int) -> bytes:
        """Exactly `length` bytes of a blob from the range handler, or a Refusal."""
        if self._blobs is None:
            raise Refusal(404, "this node serves no blobs")
        try:
            data = await self._blobs(requester, ref, offset, length)
        except HansaError as error:
            raise refusal_of(error) from error
        except Exception as error:
            log.exception("reading blob %s failed", ref.digest.hex())
            raise Refusal(500, "this node failed to read the blob; its operator finds the reason in its log") from error
        if len(data) != length:
            raise Refusal(404, f"this node holds {len(data)} bytes at offset {offset} of the blob, not {length}; check the blob's size")
        return data


def refusal_of(error: HansaError) -> Refusal:
    """The status that a handler's error stands for."""
    if isinstance(error, Refusal):
        return error
    statuses = ((FormatError, 400), (EnvelopeError, 401), (ProtocolError, 409), (StorageError, 404))
    return Refusal(next((status for kind, status in statuses if isinstance(error, kind)), 422), str(error)[:MAX_SENTENCE])
