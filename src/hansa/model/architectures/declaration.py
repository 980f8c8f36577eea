"""What every declared architecture has: a layout, initial values, sizes, objectives that fit it, and a torch module."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from hansa.core.errors import FormatError
from hansa.model.architectures.cnn import Cnn
from hansa.model.architectures.dense import Linear, Mlp
from hansa.model.architectures.lora import Lora
from hansa.model.architectures.transformer import Transformer
from hansa.model.architectures.trees import Trees
from hansa.model.layout import Layout, Tensor
from hansa.model.state import ModelState

if TYPE_CHECKING:
    import torch

MAX_SEED = 1 << 53
"""Seeds stay below 2^53, so that a spec's JSON carries them exactly."""

Architecture = Linear | Mlp | Cnn | Transformer | Trees | Lora


class Objective(StrEnum):
    """What training minimises, as the mean over a batch's predictions; outputs are logits for all but the squared error.

    A row is one prediction, but under TOKENS it is one per position: its features are token ids, its label is not looked at, and the loss
    is in nats per token.
    """

    BINARY = "binary cross-entropy"
    CATEGORICAL = "cross-entropy"
    SQUARED = "mean squared error"
    TOKENS = "next-token cross-entropy"


def inputs(architecture: Architecture) -> int:
    """Number of values in one row."""
    return architecture.inputs


def outputs(architecture: Architecture) -> int:
    """Number of values the model gives for one prediction."""
    return architecture.outputs


def footprint(architecture: Architecture) -> int:
    """The most values that one layer holds for one row: what a batch's memory grows by."""
    return architecture.footprint


def check_objective(architecture: Architecture, objective: Objective) -> None:
    """FormatError unless the model's outputs fit: tokens for a language model and no other, one logit for binary cross-entropy, at least
    two for cross-entropy."""
    count = outputs(architecture)
    trained = architecture.base if isinstance(architecture, Lora) else architecture
    if isinstance(trained, Transformer) != (objective is Objective.TOKENS):
        raise FormatError(f"a language model is trained under {Objective.TOKENS.value!r}, and nothing else is; choose the one that fits")
    if objective is Objective.BINARY and count != 1:
        raise FormatError(f"binary cross-entropy needs a model with 1 output, not {count}")
    if objective is Objective.CATEGORICAL and count < 2:
        raise FormatError("cross-entropy needs a model with at least 2 outputs; use binary cross-entropy for one logit")


@lru_cache(maxsize=64)
def layout(architecture: Architecture) -> Layout:
    """The architecture's tensors, in ascending order of their names; FormatError when they are more than a layout may hold."""
    return Layout(tuple(Tensor(entry.name, entry.shape) for entry in sorted(architecture.plan())))


def initial(architecture: Architecture, seed: int) -> ModelState:
    """Values uniform in the bounds of the architecture's plan, the same for a seed (0 to 2^53 - 1) on every machine.

    Weights and biases lie in ±1/sqrt(fan-in), gains are 1.
    """
    if not 0 <= seed < MAX_SEED:
        raise FormatError(f"a seed is 0 to 2^53 - 1, not {seed}")
    shape = layout(architecture)
    # Raw PCG64 words, scaled here: numpy promises that stream for ever, but not the stream of its distributions.
    words = np.random.PCG64(seed).random_raw(shape.size) >> np.uint64(11)
    vector = (words.astype(np.float64) * 2.0**-52 - 1.0).astype(np.float32)
    entries = {entry.name: entry for entry in architecture.plan()}
    for tensor, span in shape.spans():
        vector[span] *= np.float32(entries[tensor.name].bound)
        vector[span] += np.float32(entries[tensor.name].centre)
    return ModelState(shape, vector)


def build(architecture: Architecture, base: ModelState | None = None) -> torch.nn.Module:
    """An untrained torch module that maps rows (n, inputs) to outputs (n, outputs); its parameters have the layout's names.

    A language model gives logits (n, t, vocabulary) for the first t <= context tokens of rows of any length. An adapter, and it alone,
    takes the model that it adapts, `base`, whose blob the declaration names. All modules work under `torch.func.vmap`; attention on a CPU
    then wants `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`, the only form torch can batch. FormatError when the model is larger than
    a layout may be, or `base` is not what the declaration asks for.
    """
    layout(architecture)
    if not isinstance(architecture, Lora):
        if base is not None:
            raise FormatError("only an adapter takes the model that it adapts; build this architecture without one")
        return _module(architecture)
    if base is None or base.layout != layout(architecture.base):
        raise FormatError("an adapter needs the model of its base architecture that its declaration names; fetch that blob and hand it in")
    from hansa.model.modules.lora import adapted

    return adapted(architecture, _module(architecture.base), base)


def _module(architecture: Linear | Mlp | Cnn | Transformer | Trees) -> torch.nn.Module:
    match architecture:
        case Linear() | Mlp():
            from hansa.model.modules.dense import dense

            return dense(architecture)
        case Cnn():
            from hansa.model.modules.cnn import cnn

            return cnn(architecture)
        case Transformer():
            from hansa.model.modules.transformer import Decoder

            return Decoder(architecture)
        case Trees():
            from hansa.model.modules.forest import Forest

            return Forest(architecture)
