"""The listening socket: TLS 1.3 and uvicorn's HTTP/1.1 protocol, with the bounds on strangers that uvicorn leaves open."""

from __future__ import annotations

import asyncio
import logging
import ssl

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hansa.core.errors import ConfigError
from hansa.identity.certificate import NodeCertificate
from hansa.transport.application import Application

MAX_HEAD = 16 << 10
"""Bytes of a request's line and headers, beyond one read of the socket."""
_HEAD_SECONDS = 10.0
"""Seconds from the first byte of a connection or request until its headers are complete."""
_TLS_SECONDS = 10.0
"""Seconds for the TLS handshake, and for its end."""
_IDLE_SECONDS = 75
"""Seconds a connection may rest between requests; longer than a client keeps it, so that the client closes first."""


# What strangers send wrongly is no news for the operator; what this node does wrongly, the application logs.
_silent = logging.getLogger(f"{__name__}.protocol")
_silent.setLevel(logging.CRITICAL)


class _BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which itself bounds neither the headers' size, nor the time they take, nor what follows stray line breaks."""

    def __init__(self, config: uvicorn.Config, state: ServerState, max_connections: int) -> None:
        super().__init__(config, state, {})
        self.logger, self.access_log = _silent, False
        self._max_connections = max_connections
        self._head, self._in_head = 0, True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._max_connections:
            transport.abort()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head += len(data)
        super().data_received(data)
        if not self._in_head:
            self._head = 0
        elif not self.transport.is_closing():
            if self._head > MAX_HEAD:
                self.send_400_response("the request's headers are too large")
            elif self._head and self._head_timer is None:
                self._expect_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._head = True, 0

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(_HEAD_SECONDS, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def tls_context(certificate: NodeCertificate) -> ssl.SSLContext:
    """Server side TLS 1.3 with the node's own certificate; clients prove who they are by their envelopes, not by TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    return context


class Server:
    """One listening socket; made by `listen`."""

    def __init__(self, listener: asyncio.Server, state: ServerState, url: str) -> None:
        self._listener, self._state, self.url = listener, state, url

    @classmethod
    async def listen(cls, application: Application, certificate: NodeCertificate, host: str, port: int, connections: int) -> Server:
        """Serve on host and port (0: the system chooses); ConfigError when the address cannot be used."""
        config = uvicorn.Config(
            application,
            http=_BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_IDLE_SECONDS,
        )
        config.load()
        state = ServerState()
        try:
            listener = await asyncio.get_running_loop().create_server(
                lambda: _BoundedProtocol(config, state, connections),
                host,
                port,
                ssl=tls_context(certificate),
                ssl_handshake_timeout=_TLS_SECONDS,
                backlog=512,
            )
        except (OSError, OverflowError) as error:
            raise ConfigError(f"cannot listen on {host}:{port} ({error}); choose another address or port") from error
        shown = f"[{host}]" if ":" in host else host
        return cls(listener, state, f"https://{shown}:{listener.sockets[0].getsockname()[1]}")

    async def close(self, grace: float) -> None:
        """Stop listening, let requests in progress finish for `grace` seconds, then cut the connections that are left."""
        self._listener.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(set(self._state.tasks), timeout=grace)
        for task in list(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(set(self._state.tasks), timeout=1.0)
        await self._listener.wait_closed()
