"""A network in memory with loss, duplication, delay and partition, whose time passes only when told: the `Transport` port's twin."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeVar

import msgspec

from hansa.core.clock import ManualClock
from hansa.core.encoding import sha256
from hansa.core.errors import PeerRefused, ProtocolError, TransportError
from hansa.core.ports import Handler, RangeHandler, Signer
from hansa.core.types import Address, BlobRef, Envelope, Peer
from hansa.identity.envelope import seal
from hansa.identity.replay import ReplayGuard
from hansa.identity.typed import Domain
from hansa.transport.limits import Limits
from hansa.transport.reception import BLOB, Reception, Refusal, range_digest

T = TypeVar("T")

_TURNS = 64
"""Turns of the event loop given to woken tasks before time moves on; more than any chain of hand-overs between tasks is long."""


class Faults(msgspec.Struct, frozen=True):
    """What happens to a message: chances of loss and of a second copy, bounds of the delay in seconds (uniform), for each direction."""

    loss: float = 0.0
    duplication: float = 0.0
    least_delay: float = 0.0
    most_delay: float = 0.0


class _Event:
    """Something that happens at a time, unless it was cancelled before."""

    def __init__(self, when: float, order: int, action: Callable[[], None]) -> None:
        self.when, self.order, self.action, self.cancelled = when, order, action, False

    def __lt__(self, other: _Event) -> bool:
        return (self.when, self.order) < (other.when, other.order)


class MemoryNetwork:
    """Nodes that reach each other without sockets; the same seed and calls give the same losses, copies, delays and order.

    Without delay a request is answered at once. With delay or silence somebody has to move time: `advance` or `drive`. Handlers
    must not wait for threads or the real clock, which do not know of this time.
    """

    def __init__(self, domain: Domain, clock: ManualClock, *, seed: int = 0, faults: Faults | None = None) -> None:
        self.domain, self.clock, self.faults = domain, clock, faults or Faults()
        self._random = random.Random(seed)
        self._sides: dict[Address, int] = {}
        self._nodes: dict[str, MemoryTransport] = {}
        self._events: list[_Event] = []
        self._order = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()

    def transport(
        self,
        signer: Signer,
        *,
        admit: Callable[[Address], bool],
        account: Address | None = None,
        limits: Limits | None = None,
        restarted_at: float | None = None,
    ) -> MemoryTransport:
        """A node of this network, with the options of `HttpsTransport`."""
        return MemoryTransport(self, signer, account or signer.address, admit, limits or Limits(), restarted_at)

    def partition(self, *groups: Collection[Address]) -> None:
        """From now on messages pass only within a group; accounts in none form one of their own."""
        self._sides = {account: number for number, group in enumerate(groups, start=1) for account in group}

    def heal(self) -> None:
        """End the partition."""
        self._sides = {}

    async def deliver(self, peer: Peer, kind: str, envelope: Envelope, body: bytes) -> bytes:
        """Put any message on the wire, as a stranger may; the answer, or PeerRefused."""
        return await self._node(peer).receive(kind, envelope, body)

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass; everything that is due meanwhile happens in its order."""
        until = self.clock.now() + seconds
        await _settle()
        while (event := self._next()) is not None and event.when <= until:
            await self._happen(event)
        self.clock.advance(max(0.0, until - self.clock.now()))
        await _settle()

    async def drive(self, work: Awaitable[T]) -> T:
        """The result of `work`, moving time on to the next event whenever all tasks wait; ProtocolError when none can ever come."""
        task = asyncio.ensure_future(work)
        try:
            await _settle()
            while not task.done():
                event = self._next()
                if event is None:
                    raise ProtocolError("the work waits, but nothing is on its way in this network; something outside it was awaited")
                await self._happen(event)
            return task.result()
        finally:
            task.cancel()

    def _next(self) -> _Event | None:
        while self._events and self._events[0].cancelled:
            heapq.heappop(self._events)
        return self._events[0] if self._events else None

    async def _happen(self, event: _Event) -> None:
        heapq.heappop(self._events)
        self.clock.advance(max(0.0, event.when - self.clock.now()))
        event.action()
        await _settle()

    def _after(self, delay: float, action: Callable[[], None]) -> _Event:
        event = _Event(self.clock.now() + delay, next(self._order), action)
        if delay > 0:
            heapq.heappush(self._events, event)
        else:
            action()
        return event

    def _node(self, peer: Peer) -> MemoryTransport:
        node = self._nodes.get(peer.url)
        if node is None:
            raise TransportError(f"{peer.url} cannot be used: nobody listens there")
        if peer.certificate != node.certificate:
            raise TransportError(f"{peer.url} shows another certificate than the ledger records for {peer.account}")
        return node

    def _passes(self, sender: Address, recipient: Address) -> bool:
        return self._sides.get(sender, 0) == self._sides.get(recipient, 0) and self._random.random() >= self.faults.loss

    def _delay(self) -> float:
        return self._random.uniform(self.faults.least_delay, self.faults.most_delay)

    async def exchange(self, sender: Address, peer: Peer, serve: Callable[[MemoryTransport], Awaitable[bytes]], timeout: float) -> bytes:
        """One request and its answer through the faults; TransportError when none has come after `timeout` seconds of this time."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        node = self._node(peer)

        def settle(result: bytes | TransportError) -> None:
            if not answer.done():
                answer.set_exception(result) if isinstance(result, TransportError) else answer.set_result(result)

        async def arrive() -> None:
            try:
                result: bytes | TransportError = await serve(node)
            except TransportError as error:
                result = error
            if self._passes(node.account, sender):
                self._after(self._delay(), lambda: settle(result))

        def start() -> None:
            if self._nodes.get(peer.url) is not node:
                return
            task = asyncio.get_running_loop().create_task(arrive())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        silence = self._after(timeout, lambda: settle(TransportError(f"{peer.url} did not answer within {timeout:g} s")))
        for _ in range(2 if self._random.random() < self.faults.duplication else 1):
            if self._passes(sender, node.account):
                self._after(self._delay(), start)
        try:
            return await answer
        finally:
            silence.cancelled = True


class MemoryTransport:
    """A node of a `MemoryNetwork`; made by its `transport`."""

    def __init__(
        self,
        network: MemoryNetwork,
        signer: Signer,
        account: Address,
        admit: Callable[[Address], bool],
        limits: Limits,
        restarted_at: float | None,
    ) -> None:
        self.account = account
        self.certificate = sha256(b"certificate of " + account.encode())
        self._network, self._signer = network, signer
        replay = ReplayGuard(network.clock, restarted_at=restarted_at)
        self.reception = Reception(account, network.domain, network.clock, replay, admit, limits)

    @property
    def peer(self) -> Peer:
        """This node as others reach it."""
        return Peer(self.account, f"memory://{self.account}", self.certificate)

    async def request(
        self, peer: Peer, kind: str, body: bytes, *, job: int = 0, round: int = 0, timeout: float = 30.0, max_reply: int = 4 << 20
    ) -> bytes:
        envelope = self._seal(peer, kind, sha256(body), job, round)
        reply = await self._network.exchange(self.account, peer, lambda node: node.receive(kind, envelope, body), timeout)
        if len(reply) > max_reply:
            raise TransportError(f"{peer.url} announced {len(reply)} bytes; at most {max_reply} are accepted here")
        return reply

    async def fetch_range(self, peer: Peer, ref: BlobRef, offset: int, length: int, *, timeout: float = 30.0) -> bytes:
        if not (0 <= offset and 0 < length and offset + length <= ref.size):
            raise TransportError(f"bytes {offset} to {offset + length} do not lie within a blob of {ref.size} bytes")
        envelope = self._seal(peer, BLOB, range_digest(ref, offset, length), 0, 0)
        return await self._network.exchange(self.account, peer, lambda node: node.send_range(envelope, ref, offset, length), timeout)

    async def serve(self, handlers: Mapping[str, Handler], blobs: RangeHandler | None = None) -> str:
        if self.peer.url in self._network._nodes:
            raise ProtocolError("this transport already serves; close it first")
        self.reception.open(handlers, blobs)
        self._network._nodes[self.peer.url] = self
        return self.peer.url

    async def close(self) -> None:
        if self._network._nodes.get(self.peer.url) is self:
            del self._network._nodes[self.peer.url]

    async def receive(self, kind: str, envelope: Envelope, body: bytes) -> bytes:
        """Answer one message from the wire, or PeerRefused."""
        try:
            self.reception.expect(kind, len(body))
            with self.reception.enter(envelope, kind, len(body)):
                self.reception.accept(envelope, sha256(body))
                return await self.reception.handle(envelope, body)
        except Refusal as refusal:
            raise PeerRefused(str(refusal)) from refusal

    async def send_range(self, envelope: Envelope, ref: BlobRef, offset: int, length: int) -> bytes:
        """Answer one request for a range, or PeerRefused."""
        try:
            with self.reception.enter(envelope, BLOB, 0) as sender:
                self.reception.accept(envelope, range_digest(ref, offset, length))
                return await self.reception.read(sender, ref, offset, length)
        except Refusal as refusal:
            raise PeerRefused(str(refusal)) from refusal

    def _seal(self, peer: Peer, kind: str, digest: bytes, job: int, round: int) -> Envelope:
        return seal(
            self._signer,
            self._network.domain,
            recipient=Address(peer.account),
            kind=kind,
            body_digest=digest,
            now=self._network.clock.now(),
            job=job,
            round=round,
        )


async def _settle() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
