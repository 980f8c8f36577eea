"""Loopback ports that a network keeps to itself for as long as it runs, also while the process that uses one is down."""

from __future__ import annotations

import socket
import sys

from hansa.core.errors import ConfigError


class Ports:
    """Ports reserved by bound sockets that never listen, so that no outgoing connection takes the port of a node that was killed."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def reserve(self, wanted: int = 0) -> int:
        """The port `wanted`, or one chosen by the system for 0; ConfigError when it is in use."""
        holder = socket.socket()
        # Whoever listens there later sets the same option; two sockets may then share a port of which one alone listens.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", wanted))
        except OSError as error:
            holder.close()
            raise ConfigError(f"port {wanted} cannot be used ({error.strerror}); end what uses it or name another") from error
        port: int = holder.getsockname()[1]
        if sys.platform == "linux":
            self._held.append(holder)
        else:  # elsewhere two sockets may not share a port; then it is only known to have been free a moment ago
            holder.close()
        return port

    def close(self) -> None:
        while self._held:
            self._held.pop().close()
