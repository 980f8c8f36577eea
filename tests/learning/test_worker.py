import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from hansa.core.encoding import encode
from hansa.core.errors import ConfigError, DataError, FormatError
from hansa.learning import worker
from hansa.learning.calls import EvaluateCall, Evaluated, LoadCall, Loaded, NeedRows, Rows, TrainCall, Trained, read_answer
from hansa.learning.examples import Examples
from hansa.learning.local import evaluate, place, train
from hansa.learning.strategy import LocalTraining
from hansa.model.architectures import Linear, Objective, initial
from hansa.runtime.workers import WorkerPool

RANDOM = np.random.Generator(np.random.PCG64(2))
FEATURES = RANDOM.standard_normal((50, 7)).astype(np.float32)
EXAMPLES = Examples(FEATURES, (FEATURES[:, 0] > 0).astype(np.int64))
MODEL = Linear(7)
STATE = initial(MODEL, 1)
LOCAL = LocalTraining(rate=0.1, batch=8, steps=5)
ROWS = Rows.of("site", EXAMPLES)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    fresh = worker._Worker()
    monkeypatch.setattr(worker, "HANDLERS", {kind: getattr(fresh, kind) for kind in worker.HANDLERS})
    worker.setup("cpu", 1)
    yield


def views(*arrays: np.ndarray) -> list[memoryview]:
    return [memoryview(bytearray(array.tobytes())) for array in arrays]


def call(kind: str, struct: object, *arrays: np.ndarray) -> tuple[object, list[bytes]]:
    header, buffers = worker.HANDLERS[kind](encode(struct), views(*arrays))
    return read_answer(header), buffers


def training(rows: Rows = ROWS, attached: bool = False) -> TrainCall:
    return TrainCall(MODEL, Objective.BINARY, LOCAL, 3, rows, attached)


def test_rows_are_asked_for_once_and_then_kept() -> None:
    assert call("train", training(), STATE.vector) == (NeedRows("site"), [])
    attached, first = call("train", training(attached=True), STATE.vector, EXAMPLES.features, EXAMPLES.labels)
    kept, second = call("train", training(), STATE.vector)
    assert isinstance(kept, Trained) and attached == kept and first == second
    delta, summary = train(MODEL, Objective.BINARY, STATE, place(EXAMPLES, CPU), LOCAL, 3)
    assert first == [delta.tobytes()] and kept.summary == summary


def test_rows_can_be_loaded_beforehand_and_evaluated() -> None:
    assert call("evaluate", EvaluateCall(MODEL, Objective.BINARY, ROWS), STATE.vector) == (NeedRows("site"), [])
    assert call("load", LoadCall(ROWS), EXAMPLES.features, EXAMPLES.labels) == (Loaded(50), [])
    found, _ = call("evaluate", EvaluateCall(MODEL, Objective.BINARY, ROWS), STATE.vector)
    assert found == Evaluated(evaluate(MODEL, Objective.BINARY, STATE, place(EXAMPLES, CPU)))


def test_the_set_unused_for_longest_gives_way() -> None:
    for number in range(16):
        call("load", LoadCall(Rows(str(number), 50, 7, "int64")), EXAMPLES.features, EXAMPLES.labels)
    call("train", training(Rows("0", 50, 7, "int64")), STATE.vector)
    call("load", LoadCall(ROWS), EXAMPLES.features, EXAMPLES.labels)
    assert isinstance(call("train", training(Rows("0", 50, 7, "int64")), STATE.vector)[0], Trained)
    assert call("train", training(Rows("1", 50, 7, "int64")), STATE.vector)[0] == NeedRows("1")


def test_numeric_labels_travel_as_floats() -> None:
    numbers = Examples(EXAMPLES.features, EXAMPLES.features[:, 0].copy())
    rows = Rows.of("numbers", numbers)
    assert rows.labels == "float32"
    header = TrainCall(MODEL, Objective.SQUARED, LOCAL, 3, rows, True)
    assert isinstance(call("train", header, STATE.vector, numbers.features, numbers.labels)[0], Trained)


@pytest.mark.parametrize(
    ("struct", "arrays", "sentence"),
    [
        (training(attached=True), (STATE.vector,), "two buffers"),
        (training(attached=True), (STATE.vector, FEATURES[:1], EXAMPLES.labels), "features have 28 bytes"),
        (training(attached=True), (STATE.vector, FEATURES, FEATURES), "labels have 1400 bytes"),
        (training(Rows("site", -1, -1, "int64"), True), (STATE.vector, FEATURES[:0], EXAMPLES.labels), "bytes"),
        (training(attached=True), (STATE.vector[:3], FEATURES, EXAMPLES.labels), "model's values have 12 bytes"),
        (training(attached=True), (STATE.vector * np.nan, FEATURES, EXAMPLES.labels), "not finite"),
        ({"architecture": {"type": "pickle"}}, (), "not a valid TrainCall"),
    ],
)
def test_malformed_calls_are_refused(struct: object, arrays: tuple[np.ndarray, ...], sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        call("train", struct, *arrays)


def test_a_model_without_vector_is_refused() -> None:
    call("load", LoadCall(ROWS), EXAMPLES.features, EXAMPLES.labels)
    with pytest.raises(FormatError, match="first buffer"):
        call("train", training())


def test_rows_of_another_model_are_a_data_error() -> None:
    header = TrainCall(Linear(6), Objective.BINARY, LOCAL, 3, ROWS, True)
    with pytest.raises(DataError, match="7 features"):
        call("train", header, initial(Linear(6), 0).vector, EXAMPLES.features, EXAMPLES.labels)


def test_an_unknown_device_stops_the_setup() -> None:
    with pytest.raises(ConfigError, match="not one of"):
        worker.setup("tpu", 1)


def test_a_real_worker_process_gives_the_same_bits() -> None:
    async def run() -> tuple[object, object, list[memoryview]]:
        async with WorkerPool("hansa.learning.worker", 1, "cpu") as pool:
            need, _ = await pool.run("train", encode(training()), [memoryview(STATE.vector).cast("B")], timeout=60)
            arrays = [memoryview(array).cast("B") for array in (STATE.vector, EXAMPLES.features, EXAMPLES.labels)]
            header, buffers = await pool.run("train", encode(training(attached=True)), arrays, timeout=60)
            return read_answer(need), read_answer(header), buffers

    need, answer, buffers = asyncio.run(run())
    delta, summary = train(MODEL, Objective.BINARY, STATE, place(EXAMPLES, CPU), LOCAL, 3)
    assert need == NeedRows("site") and answer == Trained(summary) and bytes(buffers[0]) == delta.tobytes()
