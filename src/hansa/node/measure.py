"""A model measured on a shard of examples, in a worker process."""

from __future__ import annotations

from hansa.core.encoding import encode
from hansa.core.errors import ProtocolError
from hansa.learning import shards
from hansa.learning.calls import EvaluateCall, Evaluated, Rows, read_answer
from hansa.learning.metrics import Evaluation
from hansa.model.state import ModelState
from hansa.rounds.spec import JobSpec
from hansa.runtime.on_demand import Workers
from hansa.storage import unixfs

SECONDS = 600.0


async def measure(workers: Workers | None, spec: JobSpec, state: ModelState, shard: bytes) -> Evaluation:
    """Loss and right answers of `state` on the shard's rows; FormatError when the shard does not fit the model."""
    rows = shards.read(shard)
    if workers is None:
        raise ProtocolError("this node was composed without workers and cannot evaluate models")
    call = EvaluateCall(spec.architecture, spec.objective, Rows.of(unixfs.root(shard).digest.hex(), rows), attached=True)
    buffers = [state.vector.tobytes(), rows.features.tobytes(), rows.labels.tobytes()]
    header, _ = await workers.run("evaluate", encode(call), buffers, timeout=SECONDS)
    answer = read_answer(header)
    if not isinstance(answer, Evaluated):
        raise ProtocolError("the worker answered an evaluation with something else; restart the node")
    return answer.evaluation
