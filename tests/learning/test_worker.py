import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from hansa.core.encoding import encode
from hansa.core.errors import ConfigError, DataError, FormatError
from hansa.core.types import BlobRef, Digest
from hansa.learning import worker
from hansa.learning.calls import EvaluateCall, Evaluated, LoadCall, Loaded, NeedFrozen, NeedRows, Rows, TrainCall, Trained, read_answer
from hansa.learning.examples import Examples
from hansa.learning.local import evaluate, place
from hansa.learning.site import contribute
from hansa.learning.strategies import DiLoCo, FedAvg, PartialWidth
from hansa.learning.strategy import LocalTraining
from hansa.model.architectures import Linear, Lora, Mlp, Objective, initial
from hansa.runtime.workers import WorkerPool

RANDOM = np.random.Generator(np.random.PCG64(2))
FEATURES = RANDOM.standard_normal((50, 7)).astype(np.float32)
EXAMPLES = Examples(FEATURES, (FEATURES[:, 0] > 0).astype(np.int64))
MODEL = Linear(7)
STATE = initial(MODEL, 1)
STRATEGY = FedAvg(LocalTraining(rate=0.1, batch=8, steps=5))
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
    return TrainCall(MODEL, Objective.BINARY, STRATEGY, 3, rows, attached=attached)


def test_rows_are_asked_for_once_and_then_kept() -> None:
    assert call("train", training(), STATE.vector) == (NeedRows("site"), [])
    attached, first = call("train", training(attached=True), STATE.vector, EXAMPLES.features, EXAMPLES.labels)
    kept, second = call("train", training(), STATE.vector)
    assert isinstance(kept, Trained) and attached == kept and first == second
    made = contribute(STRATEGY, MODEL, Objective.BINARY, STATE, (), (), place(EXAMPLES, CPU), 3)
    assert first == [made.sent.tobytes()] and kept == Trained(made.summary)


def test_what_a_site_keeps_goes_in_and_out_with_each_call() -> None:
    strategy = DiLoCo(LocalTraining(rate=0.1, batch=8, steps=5, optimiser="adamw"), inner="carry")
    call("load", LoadCall(ROWS), EXAMPLES.features, EXAMPLES.labels)
    first, buffers = call("train", TrainCall(MODEL, Objective.BINARY, strategy, 3, ROWS), STATE.vector)
    assert isinstance(first, Trained) and first.kept == (8, 8, 1)
    kept = tuple(np.frombuffer(buffer, np.float32) for buffer in buffers[1:])
    again = TrainCall(MODEL, Objective.BINARY, strategy, 4, ROWS, kept=first.kept)
    second, answers = call("train", again, STATE.vector, *kept)
    made = contribute(strategy, MODEL, Objective.BINARY, STATE, (), kept, place(EXAMPLES, CPU), 4)
    assert answers == [vector.tobytes() for vector in (made.sent, *made.kept)] and second == Trained(made.summary, (8, 8, 1))
    assert answers[1] != buffers[1] and np.frombuffer(answers[3], np.float32) == [10.0]


@pytest.mark.parametrize(
    ("lengths", "arrays", "sentence"),
    [
        ({"told": (8,)}, (), "1 vectors were announced"),
        ({"told": (8,), "kept": (8, 1)}, (STATE.vector, STATE.vector), "3 vectors were announced"),
        ({"told": (8,)}, (STATE.vector[:7],), "beside the model have 28 bytes"),
        ({"kept": (-1,)}, (STATE.vector[:0],), "announced"),
        ({"kept": (1,) * 9}, (), "at most 8 vectors"),
        ({"kept": (8, 8, 1)}, (STATE.vector, STATE.vector, STATE.vector[:1]), "moments were not made by it"),
        ({"kept": (8, 1, 8)}, (STATE.vector, STATE.vector[:1], STATE.vector), "carried inner state"),
    ],
)
def test_vectors_that_are_not_as_announced_are_refused(
    lengths: dict[str, tuple[int, ...]], arrays: tuple[np.ndarray, ...], sentence: str
) -> None:
    strategy = DiLoCo(LocalTraining(rate=0.1, batch=8, steps=5, optimiser="adamw"), inner="carry")
    call("load", LoadCall(ROWS), EXAMPLES.features, EXAMPLES.labels)
    header = {"architecture": MODEL, "objective": Objective.BINARY, "strategy": strategy, "seed": 3, "rows": ROWS, **lengths}
    with pytest.raises(FormatError, match=sentence):
        call("train", header, STATE.vector, *arrays)


def test_an_adapter_comes_with_its_frozen_model() -> None:
    frozen = initial(Mlp(7, (3,), 1), 1)
    lora = Lora(Mlp(7, (3,), 1), BlobRef(Digest(b"\7" * 32), 100), rank=1, alpha=1)
    adapter, rows = initial(lora, 2), place(EXAMPLES, CPU)
    header = TrainCall(lora, Objective.BINARY, STRATEGY, 3, ROWS, frozen=True, attached=True)
    _, buffers = call("train", header, adapter.vector, frozen.vector, EXAMPLES.features, EXAMPLES.labels)
    made = contribute(STRATEGY, lora, Objective.BINARY, adapter, (), (), rows, 3, frozen=frozen)
    assert buffers == [made.sent.tobytes()]
    found, _ = call("evaluate", EvaluateCall(lora, Objective.BINARY, ROWS, frozen=True), adapter.vector, frozen.vector)
    assert found == Evaluated(evaluate(lora, Objective.BINARY, adapter, rows, frozen=frozen))
    with pytest.raises(FormatError, match="as the second"):
        call("evaluate", EvaluateCall(lora, Objective.BINARY, ROWS, frozen=True), adapter.vector)
    with pytest.raises(FormatError, match="model's values have"):
        call("evaluate", EvaluateCall(lora, Objective.BINARY, ROWS, frozen=True), adapter.vector, frozen.vector[1:])
    with pytest.raises(FormatError, match="only an adapter"):
        call("evaluate", EvaluateCall(MODEL, Objective.BINARY, ROWS, frozen=True), STATE.vector, frozen.vector)


def test_a_frozen_model_is_asked_for_once_and_then_kept() -> None:
    mlp = Mlp(7, (3,), 1)
    frozen, lora = initial(mlp, 1), Lora(mlp, BlobRef(Digest(b"\x08" * 32), 100), rank=1, alpha=1)
    adapter = initial(lora, 2)
    header = TrainCall(lora, Objective.BINARY, STRATEGY, 3, ROWS)
    need = (NeedFrozen((b"\x08" * 32).hex()), [])
    assert call("train", header, adapter.vector) == need
    assert call("evaluate", EvaluateCall(lora, Objective.BINARY, ROWS), adapter.vector) == need
    # A model that came with a call that could not be done is not kept: its rows must come with it.
    assert call("train", replace(header, frozen=True), adapter.vector, frozen.vector) == (NeedRows("site"), [])
    assert call("train", replace(header, attached=True), adapter.vector, EXAMPLES.features, EXAMPLES.labels) == need
    both = replace(header, frozen=True, attached=True)
    first, sent = call("train", both, adapter.vector, frozen.vector, EXAMPLES.features, EXAMPLES.labels)
    assert isinstance(first, Trained) and call("train", header, adapter.vector) == (first, sent)
    other = replace(header, architecture=replace(lora, weights=BlobRef(Digest(b"\x09" * 32), 100)))
    assert call("train", other, adapter.vector) == (NeedFrozen((b"\x09" * 32).hex()), [])


def test_a_narrow_device_names_its_class() -> None:
    mlp = Mlp(7, (4,), 1)
    strategy, state = PartialWidth(STRATEGY.local, mlp, (1.0, 0.5)), initial(mlp, 1)
    header = TrainCall(mlp, Objective.BINARY, strategy, 3, ROWS, width=1, attached=True)
    _, buffers = call("train", header, state.vector, EXAMPLES.features, EXAMPLES.labels)
    made = contribute(strategy, mlp, Objective.BINARY, state, (), (), place(EXAMPLES, CPU), 3, width=1)
    assert buffers == [made.sent.tobytes()]


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
    header = TrainCall(MODEL, Objective.SQUARED, STRATEGY, 3, rows, attached=True)
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
    header = TrainCall(Linear(6), Objective.BINARY, STRATEGY, 3, ROWS, attached=True)
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
    made = contribute(STRATEGY, MODEL, Objective.BINARY, STATE, (), (), place(EXAMPLES, CPU), 3)
    assert need == NeedRows("site") and answer == Trained(made.summary) and bytes(buffers[0]) == made.sent.tobytes()
