"""A trained adapter put into the model it was made for, which then needs it no more."""

from __future__ import annotations

import numpy as np

from hansa.core.errors import FormatError
from hansa.model.architectures.declaration import layout
from hansa.model.architectures.lora import Lora
from hansa.model.state import ModelState


def merge(lora: Lora, base: ModelState, adapter: ModelState) -> ModelState:
    """The base architecture's model with W + alpha / rank * B A for W: products in float64, added in the ranks' order, rounded once.

    Elementwise operations alone, so everyone gets the same bits (R12). FormatError when a state is not of its architecture.
    """
    if base.layout != layout(lora.base) or adapter.layout != layout(lora):
        raise FormatError("the two models are not an adapter's base and the adapter; check which architectures they belong to")
    vector, adapted = base.vector.copy(), adapter.tensors()
    merged = {tensor.name: vector[span].reshape(tensor.shape) for tensor, span in base.layout.spans()}
    for name in lora.layers():
        down, up = adapted[f"{name}.a"].astype(np.float64), adapted[f"{name}.b"].astype(np.float64)
        change = np.zeros((len(up), down.shape[1]))
        for rank in range(lora.rank):
            change += np.multiply(up[:, rank, None], down[rank])
        weight = merged[f"{name}.weight"]
        weight[...] = np.add(weight.astype(np.float64), np.multiply(change, lora.scale)).astype(np.float32)
    return ModelState(base.layout, vector)
