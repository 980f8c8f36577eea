"""The process in which a Flower ClientApp trains, under the app's own Python: it is run by path, with that interpreter.

hansa is not installed there, so this file imports the standard library, numpy and flwr alone. It speaks the frames of `runtime.channel` on
the socket that it finds as standard input, and keeps the app loaded and its contexts from round to round.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import socket
import struct
import sys
import traceback
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a Python without them shall still say so in one sentence
    import numpy as np

FLWR = "1.41.0"
"""The one version whose inner workings this file knows (see `_identify`)."""

MAX_HEAD = 16 << 20
MAX_BUFFERS = 64
MAX_TOTAL = 32 << 30
MAX_ARRAYS = 4096

_MAX_SENTENCE = 64 << 10
_MOST_JOBS = 16
"""Contexts kept; the one unused for longest gives way."""

_LENGTH = struct.Struct("<I")


class Refusal(Exception):
    """A sentence for the node, with the name of hansa's error class that says whose fault it is."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class _Reader:
    """The part of MessagePack that a frame's head uses: arrays, text, bytes and natural numbers; every length is checked first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise ValueError(f"a frame's head ends after {len(self._data)} bytes, within a value of {count}")
        self._at += count
        return self._data[self._at - count : self._at]

    def _natural(self, bytes: int) -> int:
        return int.from_bytes(self.take(bytes), "big")

    def _sized(self, short: tuple[int, int], long: dict[int, int], what: str) -> int:
        """The number that a type byte carries in its low bits, or in the bytes that follow it."""
        kind = self.take(1)[0]
        if short[0] <= kind < short[1]:
            return kind - short[0]
        if kind not in long:
            raise ValueError(f"a frame's head has type {kind:#04x} where {what} should be")
        return self._natural(long[kind])

    def array(self) -> int:
        return self._sized((0x90, 0xA0), {0xDC: 2, 0xDD: 4}, "an array")

    def number(self) -> int:
        return self._sized((0x00, 0x80), {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}, "a natural number")

    def binary(self) -> bytes:
        return self.take(self._sized((0, 0), {0xC4: 1, 0xC5: 2, 0xC6: 4}, "bytes"))

    def text(self) -> str:
        return self.take(self._sized((0xA0, 0xC0), {0xD9: 1, 0xDA: 2, 0xDB: 4}, "text")).decode()

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError(f"a frame's head goes on after its end by {len(self._data) - self._at} bytes")


def read_head(data: bytes) -> tuple[str, bytes, list[int], str]:
    """Kind, header, lengths of the buffers and error's name; ValueError when the head is malformed or over a limit."""
    reader = _Reader(data)
    if reader.array() != 4:
        raise ValueError("a frame's head has four parts")
    kind, header, count = reader.text(), reader.binary(), reader.array()
    if count > MAX_BUFFERS:
        raise ValueError(f"a frame of {count} buffers is over the limit of {MAX_BUFFERS}")
    lengths = [reader.number() for _ in range(count)]
    error = reader.text()
    reader.end()
    if sum(lengths) > MAX_TOTAL:
        raise ValueError(f"a frame of {sum(lengths)} bytes is over the limit of {MAX_TOTAL}")
    return kind, header, lengths, error


def write_head(kind: str, header: bytes, lengths: list[int], error: str = "") -> bytes:
    """The same, encoded."""

    def sized(mark: bytes, data: bytes) -> bytes:
        return mark + len(data).to_bytes(4, "big") + data

    numbers = b"".join(b"\xcf" + length.to_bytes(8, "big") for length in lengths)
    array = b"\xdd" + len(lengths).to_bytes(4, "big") + numbers
    return b"\x94" + sized(b"\xdb", kind.encode()) + sized(b"\xc6", header) + array + sized(b"\xdb", error.encode())


def receive(connection: socket.socket) -> tuple[str, bytes, list[bytearray]]:
    """Take one frame; EOFError when the node is gone, ValueError when the frame is over a limit."""
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if length > MAX_HEAD:
        raise ValueError(f"a frame's head of {length} bytes is over the limit of {MAX_HEAD}")
    kind, header, lengths, _ = read_head(bytes(_exactly(connection, length)))
    return kind, header, [_exactly(connection, length) for length in lengths]


def send(connection: socket.socket, kind: str, header: bytes, buffers: list[bytes], error: str = "") -> None:
    """Send one frame."""
    head = write_head(kind, header, [len(buffer) for buffer in buffers], error)
    for piece in (_LENGTH.pack(len(head)) + head, *buffers):
        connection.sendall(piece)


def _exactly(connection: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view, done = memoryview(data), 0
    while done < length:
        count = connection.recv_into(view[done:])
        if count == 0:
            raise EOFError("the node closed the channel")
        done += count
    return data


def check_version() -> None:
    """Refusal unless this Python has exactly the flwr that this file is made for."""
    try:
        found = importlib.metadata.version("flwr")
    except importlib.metadata.PackageNotFoundError:
        raise Refusal("ConfigError", f"{sys.executable} has no flwr; install flwr=={FLWR} there") from None
    if found != FLWR:
        raise Refusal("ConfigError", f"{sys.executable} has flwr {found}, but the adapter works with {FLWR} alone; install that one there")


class App:
    """A loaded ClientApp and its contexts, one a job, as Flower keeps them from message to message."""

    def __init__(self, reference: str, folder: str) -> None:
        """`reference` as module:attribute, looked for in `folder` first, which becomes the working directory."""
        os.chdir(folder)
        sys.path.insert(0, folder)
        module, _, attributes = reference.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for name in attributes.split("."):
                found = getattr(found, name)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            raise Refusal("ConfigError", f"the Flower app {reference} in {folder} does not load: {_in_words(error)}") from error
        from flwr.clientapp import ClientApp

        if not isinstance(found, ClientApp):
            raise Refusal("ConfigError", f"{reference} in {folder} is no ClientApp but a {type(found).__name__}; name the ClientApp")
        self._app = found
        # An app made with `client_fn` takes and gives the records of Flower's older messages.
        self._old: bool = found._call is not None
        self._contexts: OrderedDict[int, Any] = OrderedDict()

    def train(self, header: bytes, buffers: list[bytearray]) -> tuple[bytes, list[bytes]]:
        """One round: the header's arrays, one after the other in the only buffer (float32), go to the app; its answer comes back so."""
        import numpy as np

        call = json.loads(header)
        shapes = {str(name): tuple(map(int, shape)) for name, shape in call["arrays"]}
        if not 0 < len(shapes) == len(call["arrays"]) <= MAX_ARRAYS or len(buffers) != 1:
            raise Refusal("FormatError", f"a round has 1 to {MAX_ARRAYS} arrays with names of their own, in one buffer")
        message = self._message(call, _split(np.frombuffer(buffers[0], "<f4"), shapes))
        context = self._context(call)
        try:
            reply = self._app(message, context)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            where = f"round {call['round']} of job {call['job']}"
            raise Refusal("WorkerError", f"the Flower app failed in {where}: {_in_words(error)}; see its messages above") from error
        arrays, examples = read_reply(reply, shapes, named=bool(call["named"]) and not self._old)
        return json.dumps({"examples": examples}).encode(), [b"".join(array.astype("<f4").tobytes() for array in arrays)]

    def _message(self, call: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
        from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

        record = ArrayRecord({name: Array(array) for name, array in arrays.items()})
        keys = ("fitins.parameters", "fitins.config") if self._old else ("arrays", "config")
        content = RecordDict({keys[0]: record, keys[1]: ConfigRecord(call["config"])})
        _identify(call["job"], call["node"])
        return Message(content, dst_node_id=call["node"], message_type="train", group_id=str(call["round"]))

    def _context(self, call: dict[str, Any]) -> Any:
        from flwr.app import Context, RecordDict

        job = int(call["job"])
        if job not in self._contexts:
            self._contexts[job] = Context(
                run_id=job, node_id=call["node"], node_config=call["node_config"], state=RecordDict(), run_config=call["run_config"]
            )
            if len(self._contexts) > _MOST_JOBS:
                self._contexts.popitem(last=False)
        self._contexts.move_to_end(job)
        return self._contexts[job]


def _identify(job: int, node: int) -> None:
    """What Flower's own process for client apps sets before it makes a message: no public call does."""
    from flwr.supercore.task_identity import TaskIdentity

    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = job, node, 1


def _split(values: np.ndarray, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    import numpy as np

    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    if sum(sizes) != values.size:
        raise Refusal("FormatError", f"{values.size} values came for arrays of {sum(sizes)}")
    parts = np.split(values.astype(np.float32), np.cumsum(sizes)[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def read_reply(reply: Any, shapes: dict[str, tuple[int, ...]], *, named: bool) -> tuple[list[np.ndarray], int | None]:
    """The arrays that an app answered with, in the order of `shapes`, and its number of examples when it tells.

    They are matched by name, where they have the names that were sent or must have them (`named`), else by place. Refusal for anything
    but one array record with exactly these shapes in floating point.
    """
    if getattr(reply, "has_error", lambda: False)():
        raise Refusal("WorkerError", f"the Flower app answered with an error: {reply.error.reason}")
    if not getattr(reply, "has_content", lambda: False)():
        raise Refusal("ConfigError", f"the Flower app answered with {type(reply).__name__} without content; it must return a Message")
    records = list(reply.content.array_records.values())
    if len(records) != 1:
        raise Refusal("ConfigError", f"the Flower app answered with {len(records)} array records; it must return one, its model")
    arrays = {name: array.numpy() for name, array in records[0].items()}
    if set(arrays) == set(shapes):
        arrays = {name: arrays[name] for name in shapes}
    elif named or len(arrays) != len(shapes):
        wanted, found = sorted(set(shapes) - set(arrays)), sorted(set(arrays) - set(shapes))
        raise Refusal("ConfigError", f"the Flower app answered with other arrays than it got: {found[:3]} for {wanted[:3]}")
    for (name, shape), array in zip(shapes.items(), arrays.values(), strict=True):
        if array.shape != shape or array.dtype.kind != "f":
            said = f"{array.dtype} {array.shape}"
            raise Refusal("ConfigError", f"the Flower app answered with {said} for {name}; the job's architecture has float32 {shape}")
    counts = [record.get("num-examples", record.get("num_examples")) for record in reply.content.metric_records.values()]
    count = next((count for count in counts if isinstance(count, int)), None)
    return list(arrays.values()), count


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _sentence(error: Exception) -> bytes:
    return str(error).encode(errors="replace")[:_MAX_SENTENCE]


def serve(connection: socket.socket, app: App) -> None:
    """Answer calls one at a time; returns when the node closes the channel."""
    while True:
        try:
            kind, header, buffers = receive(connection)
        except (EOFError, ConnectionError):
            return
        try:
            if kind != "train":
                raise Refusal("WorkerError", f"a Flower app is asked to train and nothing else, not to {kind!r}")
            answer, error = app.train(header, buffers), ""
        except Refusal as refusal:
            answer, error = (_sentence(refusal), []), refusal.kind
        except Exception as failure:
            traceback.print_exc()
            answer, error = (_sentence(failure), []), type(failure).__name__
        try:
            send(connection, "answer", *answer, error)
        except ConnectionError:
            return


def main() -> None:
    reference, folder = sys.argv[1:]
    # The channel arrives as standard input, and standard output is the node's: what an app reads or prints must touch neither.
    connection = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    sys.stdout = open(1, "w", buffering=1, closefd=False)
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    try:
        check_version()
        app = App(reference, folder)
    except Refusal as refusal:
        send(connection, "ready", _sentence(refusal), [], refusal.kind)
        sys.exit(1)
    send(connection, "ready", b"", [])
    serve(connection, app)


if __name__ == "__main__":
    main()
