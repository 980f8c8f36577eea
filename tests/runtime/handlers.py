"""What the test's workers run: small handlers that echo, compute, fail, hang and die."""

from __future__ import annotations

import os
import threading

from hansa.core.errors import DataError

SETTINGS: dict[str, str] = {}


def setup(device: str, threads: int) -> None:
    SETTINGS.update(device=device, threads=str(threads), omp=os.environ["OMP_NUM_THREADS"])


def echo(header: bytes, buffers: list[memoryview]) -> tuple[bytes, list[bytes | memoryview]]:
    return header, list(buffers)


def settings(header: bytes, buffers: list[memoryview]) -> tuple[bytes, list[bytes | memoryview]]:
    return repr(sorted(SETTINGS.items())).encode(), []


def double(header: bytes, buffers: list[memoryview]) -> tuple[bytes, list[bytes | memoryview]]:
    for buffer in buffers:
        for place in range(len(buffer)):
            buffer[place] = buffer[place] * 2 % 256
    return header, list(buffers)


def refuse(header: bytes, buffers: list[memoryview]) -> tuple[bytes, list[bytes | memoryview]]:
    raise DataError("column 'age' is missing; add it")


def fail(header: bytes, buffers: list[memoryview]) -> tuple[bytes, list[bytes | memoryview]]:
    raise ZeroDivisionError("seven by nothing")


def die(header: bytes, buffers: list[memoryview]) -> tuple[bytes, list[bytes | memoryview]]:
    os._exit(9)


def hang(header: bytes, buffers: list[memoryview]) -> tuple[bytes, list[bytes | memoryview]]:
    threading.Event().wait(600)
    return header, []


def chatter(header: bytes, buffers: list[memoryview]) -> tuple[bytes, list[bytes | memoryview]]:
    """Writes to where the channel came in: that must not disturb the protocol."""
    os.write(0, b"x" * 100)
    return header, []


HANDLERS = {
    "echo": echo,
    "settings": settings,
    "double": double,
    "refuse": refuse,
    "fail": fail,
    "die": die,
    "hang": hang,
    "chatter": chatter,
}
