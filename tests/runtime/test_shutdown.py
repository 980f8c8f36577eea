"""Graceful shutdown, with real signals to real processes."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

_PROGRAM = """
import asyncio
from hansa.runtime.shutdown import on_signal

async def main():
    event = on_signal()
    print("up", flush=True)
    await event.wait()
    print("asked", flush=True)
    if {waits}:
        await asyncio.Event().wait()
    print("done", flush=True)

asyncio.run(main())
"""


def start(waits: bool) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM.format(waits=waits)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_asks(number: signal.Signals) -> None:
    process = start(waits=False)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("asked\ndone\n", "", 0)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_hard(second: signal.Signals) -> None:
    process = start(waits=True)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None and process.stdout.readline() == "asked\n"
    process.send_signal(second)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("", "", -second)
