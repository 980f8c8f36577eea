"""A model measured on a shard of examples, in a worker process."""

from __future__ import annotations

from hansa.core.errors import ProtocolError
from hansa.learning import shards
from hansa.learning.calls import EvaluateCall, Evaluated, Rows
from hansa.learning.metrics import Evaluation
from hansa.model.state import ModelState
from hansa.node.asking import Frozen, ask
from hansa.rounds.spec import JobSpec
from hansa.runtime.on_demand import Workers
from hansa.storage import unixfs

SECONDS = 600.0


async def measure(workers: Workers | None, spec: JobSpec, state: ModelState, shard: bytes, frozen: Frozen) -> Evaluation:
    """Loss and right answers of `state` on the shard's rows, an adapter's on its `frozen` model; FormatError when they do not fit."""
    rows = shards.read(shard)
    call = EvaluateCall(spec.architecture, spec.objective, Rows.of(unixfs.root(shard).digest.hex(), rows), attached=True)
    answer, _ = await ask(workers, call, [state.vector], rows, frozen, timeout=SECONDS)
    if not isinstance(answer, Evaluated):
        raise ProtocolError("the worker answered an evaluation with something else; restart the node")
    return answer.evaluation
