"""A world of nodes, over HTTPS on loopback or in memory, in which the laws of `Transport` are tried."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

import aiohttp

from hansa.core.clock import ManualClock
from hansa.core.encoding import sha256
from hansa.core.errors import BlobUnavailable, PeerRefused
from hansa.core.ports import Transport
from hansa.core.types import Address, BlobRef, Envelope, Peer
from hansa.identity.certificate import NodeCertificate
from hansa.identity.envelope import seal
from hansa.identity.keys import AccountKey
from hansa.identity.typed import Domain
from hansa.transport.header import NAME, to_header
from hansa.transport.https import HttpsTransport
from hansa.transport.limits import Limits
from hansa.transport.memory import MemoryNetwork, MemoryTransport

T = TypeVar("T")

DOMAIN = Domain(31337, Address("0x" + "ab" * 20))
BLOB = bytes(range(256)) * 5000
REF = BlobRef(sha256(BLOB), len(BLOB))


def key(number: int) -> AccountKey:
    return AccountKey(number.to_bytes(32, "big"))


class Node(Transport, Protocol):
    account: Address

    @property
    def peer(self) -> Peer: ...


class World:
    """Nodes of one kind that can reach each other, and a way around their honest senders."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.clock = ManualClock()
        self._kind, self._folder = kind, folder
        self._network = MemoryNetwork(DOMAIN, self.clock)
        self._nodes: list[Node] = []

    def node(
        self,
        number: int,
        admit: Callable[[Address], bool] = lambda _: True,
        limits: Limits | None = None,
        restarted_at: float | None = None,
    ) -> Node:
        made: Node
        if self._kind == "memory":
            made = self._network.transport(key(number), admit=admit, limits=limits, restarted_at=restarted_at)
        else:
            certificate = NodeCertificate.load_or_create(self._folder / str(number), key(number).address, self.clock.now())
            made = HttpsTransport(key(number), DOMAIN, certificate, self.clock, admit=admit, limits=limits, restarted_at=restarted_at)
        self._nodes.append(made)
        return made

    async def post(self, node: Node, envelope: Envelope, body: bytes, kind: str = "echo") -> bytes:
        """What a stranger can put on the wire: any envelope with any body."""
        if isinstance(node, MemoryTransport):
            return await self._network.deliver(node.peer, kind, envelope, body)
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{node.peer.url}/v1/{kind}", data=body, headers={NAME: to_header(envelope)}, ssl=False) as reply,
        ):
            if reply.status != 200:
                raise PeerRefused((await reply.json())["error"])
            return await reply.read()

    async def wait(self, work: Awaitable[T]) -> T:
        """The result of work that waits for the time to pass."""
        return await (self._network.drive(work) if self._kind == "memory" else work)

    async def close(self) -> None:
        for node in self._nodes:
            await node.close()


Scenario = Callable[[World], Awaitable[None]]
Run = Callable[[Scenario], None]


def runner(kind: str, folder: Path) -> Run:
    """Runs one scenario in a world of its own."""

    def run(scenario: Scenario) -> None:
        async def whole() -> None:
            world = World(kind, folder)
            try:
                await asyncio.wait_for(scenario(world), 20)
            finally:
                await world.close()

        asyncio.run(whole())

    return run


async def echo(envelope: Envelope, body: bytes) -> bytes:
    return envelope.sender.encode() + b"|" + body


async def blobs(requester: Address, ref: BlobRef, offset: int, length: int) -> bytes:
    if ref != REF:
        raise BlobUnavailable("this blob is not here")
    return BLOB[offset : offset + length]


def sealed(world: World, sender: AccountKey, recipient: Address, body: bytes, kind: str = "echo", ago: float = 0.0) -> Envelope:
    return seal(sender, DOMAIN, recipient=recipient, kind=kind, body_digest=sha256(body), now=world.clock.now() - ago)
