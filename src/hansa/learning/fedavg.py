"""Federated averaging (McMahan et al. 2017, arXiv:1602.05629): the next model is the last one plus the weighted mean of the updates."""

from __future__ import annotations

import msgspec
import numpy as np

from hansa.core.errors import ProtocolError
from hansa.learning.strategy import LocalTraining, ServerState
from hansa.model.aggregate import Aggregate
from hansa.model.state import ModelState
from hansa.model.update import dequantise


class FedAvg(msgspec.Struct, frozen=True, tag="fedavg", forbid_unknown_fields=True):
    """new = base + (sum_i w_i q_i) * scale / sum_i w_i, in float64 in this order, rounded once to float32."""

    local: LocalTraining

    def init(self, base: ModelState) -> ServerState:
        return ()

    def step(self, base: ModelState, aggregate: Aggregate, state: ServerState) -> tuple[ModelState, ServerState]:
        if aggregate.layout != base.layout:
            raise ProtocolError("the aggregate's layout is not the model's; take both from the same job")
        # Four separate elementwise operations: each is rounded as IEEE 754 says, so every machine gets the same bits (R12).
        change = dequantise(aggregate.layout, aggregate.values, aggregate.scales)
        np.divide(change, float(aggregate.weight), out=change)
        np.add(base.vector.astype(np.float64), change, out=change)
        return ModelState(base.layout, change.astype(np.float32)), state
