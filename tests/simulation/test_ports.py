"""Reserved ports are ours to listen on, and nobody else's."""

from __future__ import annotations

import socket

import pytest

from hansa.core.errors import ConfigError
from hansa.simulation.ports import Ports


def test_a_reserved_port_can_be_listened_on_again_and_again() -> None:
    ports = Ports()
    port = ports.reserve()
    for _ in range(3):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()
            with socket.create_connection(("127.0.0.1", port), timeout=3):
                pass
    ports.close()


def test_reserved_ports_differ() -> None:
    ports = Ports()
    found = [ports.reserve() for _ in range(50)]
    assert len(set(found)) == 50
    ports.close()


def test_a_port_somebody_listens_on_is_refused() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(ConfigError, match=f"port {listener.getsockname()[1]} cannot be used"):
            Ports().reserve(listener.getsockname()[1])
