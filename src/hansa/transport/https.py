"""The `Transport` port over HTTPS/1.1 and TLS 1.3."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hansa.core.clock import Clock
from hansa.core.errors import ProtocolError
from hansa.core.ports import Handler, RangeHandler, Signer
from hansa.core.types import Address, BlobRef, Peer
from hansa.identity.certificate import NodeCertificate
from hansa.identity.replay import ReplayGuard
from hansa.identity.typed import Domain
from hansa.transport.allocator import keep_freed_memory
from hansa.transport.application import Application
from hansa.transport.client import Client
from hansa.transport.limits import Limits
from hansa.transport.reception import Reception
from hansa.transport.server import Server


class HttpsTransport:
    """A node's requests and answers; what only calls never listens.

    `account` is whom peers address (the cold owner, where `signer` is its operator key, R18); `admit` says who may talk to this node;
    `restarted_at` is this process's start if the account ever answered before (see `ReplayGuard`); `metrics` gives Prometheus text,
    shown to whoever can reach the port.
    """

    def __init__(
        self,
        signer: Signer,
        domain: Domain,
        certificate: NodeCertificate,
        clock: Clock,
        *,
        admit: Callable[[Address], bool],
        account: Address | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits | None = None,
        restarted_at: float | None = None,
        metrics: Callable[[], bytes] | None = None,
    ) -> None:
        keep_freed_memory()
        self.account: Address = account or signer.address
        self._certificate, self._host, self._port = certificate, host, port
        self._client = Client(signer, domain, clock)
        replay = ReplayGuard(clock, restarted_at=restarted_at)
        self.reception = Reception(self.account, domain, clock, replay, admit, limits or Limits())
        self._application = Application(self.reception, metrics)
        self._server: Server | None = None

    async def request(
        self, peer: Peer, kind: str, body: bytes, *, job: int = 0, round: int = 0, timeout: float = 30.0, max_reply: int = 4 << 20
    ) -> bytes:
        return await self._client.request(peer, kind, body, job, round, timeout, max_reply)

    async def fetch_range(self, peer: Peer, ref: BlobRef, offset: int, length: int, *, timeout: float = 30.0) -> bytes:
        return await self._client.fetch_range(peer, ref, offset, length, timeout)

    async def serve(self, handlers: Mapping[str, Handler], blobs: RangeHandler | None = None) -> str:
        """Start answering; ProtocolError when it already does, ConfigError when the address cannot be used."""
        if self._server is not None:
            raise ProtocolError("this transport already serves; close it first")
        self.reception.open(handlers, blobs)
        limits = self.reception.limits
        self._server = await Server.listen(self._application, self._certificate, self._host, self._port, limits.connections)
        return self._server.url

    async def close(self, grace: float = 5.0) -> None:
        """Stop answering and calling; requests in progress have `grace` seconds to finish."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.close(grace)
        await self._client.close()

    @property
    def peer(self) -> Peer:
        """This node as others reach it now; ProtocolError before `serve`."""
        if self._server is None:
            raise ProtocolError("this transport does not serve yet")
        return Peer(self.account, self._server.url, self._certificate.fingerprint)
