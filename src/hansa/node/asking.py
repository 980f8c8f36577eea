"""A call to a node's workers, made again with what the answering worker lacks: the site's rows, the model that an adapter adapts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from hansa.core.encoding import encode
from hansa.core.errors import ProtocolError
from hansa.learning.calls import Answer, EvaluateCall, NeedFrozen, NeedRows, TrainCall, read_answer
from hansa.learning.examples import Examples
from hansa.model.state import ModelState, Vector
from hansa.runtime.on_demand import Workers

Frozen = Callable[[], Awaitable[ModelState]]
"""Gets the frozen model of a job's adapter; called only when a worker lacks it."""


async def ask(
    workers: Workers | None, call: TrainCall | EvaluateCall, vectors: Sequence[Vector], rows: Examples, frozen: Frozen, *, timeout: float
) -> tuple[Answer, list[memoryview]]:
    """The answer and its buffers; `vectors` are the model's and what the call announces beside it.

    ProtocolError when the node has no workers.
    """
    if workers is None:
        raise ProtocolError("this node was composed without workers; it neither trains nor evaluates models")
    kind = "train" if isinstance(call, TrainCall) else "evaluate"
    first, *beside = (vector.tobytes() for vector in vectors)
    model: list[bytes] = []
    # Each repetition may meet another worker of the pool: what one lacked is sent to the next one too, so that three calls are the most.
    while True:
        table = [rows.features.tobytes(), rows.labels.tobytes()] if call.attached else []
        header, buffers = await workers.run(kind, encode(call), [first, *model, *beside, *table], timeout=timeout)
        answer = read_answer(header)
        if isinstance(answer, NeedRows) and not call.attached:
            call = replace(call, attached=True)
        elif isinstance(answer, NeedFrozen) and not call.frozen:
            model, call = [(await frozen()).vector.tobytes()], replace(call, frozen=True)
        else:
            return answer, buffers
