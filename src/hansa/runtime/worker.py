"""One warm worker process: imports its module once, then answers calls on a socket until its parent is gone.

The module gives `HANDLERS: dict[str, Handler]` and may give `setup(device: str, threads: int) -> None`, called once before the first call.
"""

from __future__ import annotations

import argparse
import importlib
import os
import socket
import sys
import traceback
from collections.abc import Callable

from hansa.core.errors import HansaError, WorkerError
from hansa.runtime import channel
from hansa.runtime.lifeline import die_with_parent

Handler = Callable[[bytes, list[memoryview]], tuple[bytes, list[bytes | memoryview]]]
"""(header, buffers) of the call to (header, buffers) of the answer; the buffers may be written to."""

READY = "ready"
ANSWER = "answer"


def serve(connection: socket.socket, handlers: dict[str, Handler]) -> None:
    """Answer calls one at a time; returns when the other side closes the channel."""
    while True:
        try:
            frame = channel.receive(connection)
        except (EOFError, ConnectionError):
            return
        try:
            if frame.head.kind not in handlers:
                raise WorkerError(f"no handler for {frame.head.kind!r}; there are {sorted(handlers)}")
            header, buffers = handlers[frame.head.kind](frame.head.header, frame.buffers)
            pieces = channel.pack(ANSWER, header, buffers)
        except Exception as error:
            if not isinstance(error, HansaError):
                traceback.print_exc()
            pieces = channel.pack(ANSWER, str(error).encode()[: channel.MAX_HEAD // 2], error=type(error).__name__)
        try:
            channel.send(connection, pieces)
        except ConnectionError:
            return


def main() -> None:
    parser = argparse.ArgumentParser(prog="hansa.runtime.worker")
    parser.add_argument("--module", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    options = parser.parse_args()
    die_with_parent(options.parent)
    # The channel arrives as standard input; what handlers print or read must not touch it.
    connection = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    try:
        module = importlib.import_module(options.module)
        if hasattr(module, "setup"):
            module.setup(options.device, options.threads)
        handlers: dict[str, Handler] = module.HANDLERS
    except Exception as error:
        traceback.print_exc()
        channel.send(connection, channel.pack(READY, str(error).encode(), error=type(error).__name__))
        sys.exit(1)
    channel.send(connection, channel.pack(READY, b""))
    serve(connection, handlers)


if __name__ == "__main__":
    main()
