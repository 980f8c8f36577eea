"""What a warm worker process does for a node: train and evaluate, with rows kept from call to call.

A call's header is the JSON of a struct of `calls`. Its buffers are the model's vector (float32), then what the struct announces, and, when
`attached`, features (float32, n * k) and labels (int64 or float32, n), all little-endian. Attached rows are kept under their name, so that
later calls need not send them. A worker that does not have them, being new or another one of the pool, answers `NeedRows`: repeat the call
with the rows attached. The frozen model of an adapter is kept in the same way, under the digest that the adapter names: `NeedFrozen`.
What a site keeps between its rounds goes in and out with each call: no worker remembers it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch

from hansa.core.encoding import decode, encode
from hansa.core.errors import FormatError
from hansa.learning.calls import EvaluateCall, Evaluated, LoadCall, Loaded, NeedFrozen, NeedRows, Rows, TrainCall, Trained
from hansa.learning.examples import Examples
from hansa.learning.local import Placed, built, evaluate, make_deterministic, open_device, place, train
from hansa.learning.site import contribute
from hansa.learning.strategy import LocalTraining, Start
from hansa.model.architectures import Architecture, Linear, Lora, Objective, initial, layout
from hansa.model.state import ModelState

_MOST_SETS = 16
"""Data sets kept; the one unused for longest gives way."""


Reply = tuple[bytes, list[bytes]]


class _Worker:
    """The state of one process: its device and the data sets placed there."""

    def __init__(self) -> None:
        self._device = torch.device("cpu")
        self._sets: OrderedDict[Rows, Placed] = OrderedDict()

    def setup(self, device: str, threads: int) -> None:
        """Open the declared device (ConfigError when absent) and pay every first-use cost now, not in the first round."""
        make_deterministic(threads)
        self._device = open_device(device)
        rows = place(Examples(np.zeros((2, 1), np.float32), np.array([0, 1])), self._device)
        state = initial(Linear(1), 0)
        for local in (LocalTraining(rate=0.1, batch=2, steps=2), LocalTraining(rate=0.1, batch=2, steps=2, optimiser="adam")):
            train(Linear(1), Objective.BINARY, Start(state.vector), rows, local, 0)
        evaluate(Linear(1), Objective.BINARY, state, rows)

    def load(self, header: bytes, buffers: list[memoryview]) -> Reply:
        call = decode(header, LoadCall)
        self._keep(call.rows, buffers)
        return encode(Loaded(call.rows.count)), []

    def train(self, header: bytes, buffers: list[memoryview]) -> Reply:
        call = decode(header, TrainCall)
        lengths = (*call.told, *call.kept)
        first = 1 + call.frozen
        rows = self._rows(call, buffers[first + len(lengths) :])
        if isinstance(rows, NeedRows | NeedFrozen):
            return encode(rows), []
        base, frozen = _states(call, buffers)
        if len(buffers) < first + len(lengths):
            raise FormatError(f"{len(lengths)} vectors were announced beside the model, but {len(buffers) - first} buffers came")
        pairs = zip(buffers[first:], lengths, strict=False)
        vectors = tuple(_array(buffer, "<f4", length, "vectors beside the model") for buffer, length in pairs)
        told, kept = vectors[: len(call.told)], vectors[len(call.told) :]
        made = contribute(
            call.strategy, call.architecture, call.objective, base, told, kept, rows, call.seed, frozen=frozen, width=call.width
        )
        answer = Trained(made.summary, tuple(vector.size for vector in made.kept))
        return encode(answer), [vector.astype("<f4", copy=False).tobytes() for vector in (made.sent, *made.kept)]

    def evaluate(self, header: bytes, buffers: list[memoryview]) -> Reply:
        call = decode(header, EvaluateCall)
        rows = self._rows(call, buffers[1 + call.frozen :])
        if isinstance(rows, NeedRows | NeedFrozen):
            return encode(rows), []
        state, frozen = _states(call, buffers)
        return encode(Evaluated(evaluate(call.architecture, call.objective, state, rows, frozen=frozen))), []

    def _rows(self, call: TrainCall | EvaluateCall, attached: list[memoryview]) -> Placed | NeedRows | NeedFrozen:
        """The call's rows, or what this worker lacks."""
        if call.attached:
            self._keep(call.rows, attached)
        architecture = call.architecture
        if isinstance(architecture, Lora) and not call.frozen and not built(architecture, self._device):
            return NeedFrozen(architecture.weights.digest.hex())
        if call.rows not in self._sets:
            return NeedRows(call.rows.name)
        self._sets.move_to_end(call.rows)
        return self._sets[call.rows]

    def _keep(self, rows: Rows, buffers: list[memoryview]) -> None:
        if len(buffers) != 2:
            raise FormatError(f"rows come as two buffers, features and labels, not {len(buffers)}")
        features = _array(buffers[0], "<f4", rows.count * rows.width, "features").reshape(rows.count, rows.width)
        labels = _array(buffers[1], "<i8" if rows.labels == "int64" else "<f4", rows.count, "labels")
        self._sets[rows] = place(Examples(features, labels), self._device)
        if len(self._sets) > _MOST_SETS:
            self._sets.popitem(last=False)


def _array(buffer: memoryview, kind: str, count: int, what: str) -> np.ndarray:
    dtype = np.dtype(kind)
    if buffer.nbytes != count * dtype.itemsize or count < 0:
        raise FormatError(f"the {what} have {buffer.nbytes} bytes, but {count} values of {dtype.itemsize} bytes were announced")
    return np.frombuffer(buffer, dtype).astype(dtype.newbyteorder("="), copy=False)


def _states(call: TrainCall | EvaluateCall, buffers: list[memoryview]) -> tuple[ModelState, ModelState | None]:
    """The model and, when announced, the frozen one that it adapts."""
    if len(buffers) < 1 + call.frozen:
        raise FormatError("a model's vector must come as the first buffer, and a frozen model's as the second when it is announced")
    state = _state(call.architecture, buffers[0])
    if not call.frozen:
        return state, None
    if not isinstance(call.architecture, Lora):
        raise FormatError("only an adapter takes the model that it adapts; send this architecture without one")
    return state, _state(call.architecture.base, buffers[1])


def _state(architecture: Architecture, buffer: memoryview) -> ModelState:
    shape = layout(architecture)
    return ModelState(shape, _array(buffer, "<f4", shape.size, "model's values"))


_worker = _Worker()
setup = _worker.setup
HANDLERS: dict[str, Callable[[bytes, list[memoryview]], Reply]] = {
    "load": _worker.load,
    "train": _worker.train,
    "evaluate": _worker.evaluate,
}
