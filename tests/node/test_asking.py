"""A call is made again with what its worker lacks, whichever of a pool answers, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from hansa.core.encoding import decode, encode
from hansa.core.errors import ProtocolError
from hansa.core.types import BlobRef
from hansa.learning.calls import Answer, EvaluateCall, Evaluated, NeedFrozen, NeedRows, Rows
from hansa.learning.examples import Examples
from hansa.learning.metrics import Evaluation
from hansa.model.architectures import Linear, Lora, Objective, initial
from hansa.model.state import ModelState
from hansa.node.asking import ask

LORA = Lora(Linear(2), BlobRef(bytes(32), 1), rank=1, alpha=1)
FROZEN, ADAPTER = initial(Linear(2), 1), initial(LORA, 2)
HELD = Examples(np.ones((3, 2), np.float32), np.array([0, 1, 1]))
ROWS, MODEL = Rows.of("held", HELD), ADAPTER.vector.tobytes()
TABLE = [HELD.features.tobytes(), HELD.labels.tobytes()]
DONE = Evaluated(Evaluation(3, 1.0, 2))


class Scripted:
    """Workers that give these answers, one after the other, and note the buffers that came."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = list(answers)
        self.came: list[list[bytes]] = []

    async def run(self, kind: str, header: bytes, buffers: Sequence[Any] = (), *, timeout: float) -> tuple[bytes, list[memoryview]]:
        call = decode(header, EvaluateCall)
        assert kind == "evaluate" and len(buffers) == 1 + call.frozen + 2 * call.attached
        self.came.append([bytes(buffer) for buffer in buffers])
        answer = self._answers.pop(0)
        assert isinstance(answer, msgspec.Struct)
        return encode(answer), []

    async def close(self) -> None: ...


def asked(workers: Scripted | None) -> Answer:
    async def frozen() -> ModelState:
        return FROZEN

    call = EvaluateCall(LORA, Objective.BINARY, ROWS)
    return asyncio.run(ask(workers, call, [ADAPTER.vector], HELD, frozen, timeout=1.0))[0]


NEED_ROWS, NEED_FROZEN = NeedRows("held"), NeedFrozen(bytes(32).hex())


@pytest.mark.parametrize(
    ("answers", "last"),
    [
        ([DONE], [MODEL]),
        ([NEED_ROWS, DONE], [MODEL, *TABLE]),
        ([NEED_FROZEN, DONE], [MODEL, FROZEN.vector.tobytes()]),
        ([NEED_FROZEN, NEED_ROWS, DONE], [MODEL, FROZEN.vector.tobytes(), *TABLE]),
        ([NEED_ROWS, NEED_FROZEN, DONE], [MODEL, FROZEN.vector.tobytes(), *TABLE]),
    ],
)
def test_what_a_worker_lacks_is_sent_with_what_others_lacked(answers: list[Answer], last: list[bytes]) -> None:
    workers = Scripted(answers)
    assert asked(workers) == DONE
    assert workers.came[0] == [MODEL] and workers.came[-1] == last


def test_workers_that_ask_for_what_they_were_given_are_not_asked_for_ever() -> None:
    workers = Scripted([NEED_ROWS, NEED_ROWS])
    assert asked(workers) == NEED_ROWS and len(workers.came) == 2


def test_a_node_without_workers_says_so() -> None:
    with pytest.raises(ProtocolError, match="without workers"):
        asked(None)
