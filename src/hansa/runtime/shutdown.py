"""Graceful shutdown: the first SIGTERM or SIGINT asks, the second one ends the process hard."""

from __future__ import annotations

import asyncio
import signal

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def on_signal() -> asyncio.Event:
    """An event of the running loop that is set by the first SIGTERM or SIGINT; a second signal kills this process at once."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        event.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            # Python's own SIGINT handler would raise in the middle of the shutdown; the kernel's default ends the process.
            signal.signal(number, signal.SIG_DFL)

    for number in _SIGNALS:
        loop.add_signal_handler(number, ask)
    return event
