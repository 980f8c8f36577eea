"""Declared model architectures: data with checked bounds, never code (a stranger's job may name one of these and nothing else).

Layout and initial state follow from the declaration with numpy alone; `build` makes the torch module, with the layout's names.
"""

from __future__ import annotations

from hansa.model.architectures.cnn import Block, Cnn
from hansa.model.architectures.declaration import (
    MAX_SEED,
    Architecture,
    Objective,
    build,
    check_objective,
    footprint,
    initial,
    inputs,
    layout,
    outputs,
)
from hansa.model.architectures.dense import Linear, Mlp
from hansa.model.architectures.lora import Lora
from hansa.model.architectures.merge import merge
from hansa.model.architectures.narrow import narrow
from hansa.model.architectures.transformer import Transformer
from hansa.model.architectures.trees import Trees

__all__ = [
    "MAX_SEED",
    "Architecture",
    "Block",
    "Cnn",
    "Linear",
    "Lora",
    "Mlp",
    "Objective",
    "Transformer",
    "Trees",
    "build",
    "check_objective",
    "footprint",
    "initial",
    "inputs",
    "layout",
    "merge",
    "narrow",
    "outputs",
]
