"""What a node asks of its workers: the headers of calls and answers, free of torch so that the node's own process never loads it."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from hansa.core.encoding import decode
from hansa.core.errors import FormatError
from hansa.learning.examples import Examples
from hansa.learning.metrics import Evaluation
from hansa.learning.strategies import AnyStrategy
from hansa.model.architectures import Architecture, Objective

MAX_VECTORS = 8


class TrainingSummary(msgspec.Struct, frozen=True):
    """What local training saw: optimiser steps, rows of the site, mean loss over all batches, Euclidean norm of the change."""

    steps: int
    rows: int
    loss: float
    norm: float


class Rows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data set by name (best its digest: another content needs another name), rows n, features k, and its labels' type."""

    name: str
    count: int
    width: int
    labels: Literal["int64", "float32"]

    @classmethod
    def of(cls, name: str, examples: Examples) -> Rows:
        count, width = examples.features.shape
        return cls(name, count, width, "int64" if examples.labels.dtype == np.int64 else "float32")


class LoadCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Kind `load`: keep rows; buffers features, labels."""

    rows: Rows


class TrainCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Kind `train`: a site's part in a round; answers Trained, with what is sent and what it keeps as buffers, NeedRows or NeedFrozen.

    Buffers: base vector, the frozen model's vector if `frozen` (an adapter's alone), then as many vectors as `told` and `kept` have lengths
    (in values), then rows if `attached`. `width` is the device's class under partial widths.
    """

    architecture: Architecture
    objective: Objective
    strategy: AnyStrategy
    seed: int
    rows: Rows
    told: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    frozen: bool = False
    width: int = 0
    attached: bool = False

    def __post_init__(self) -> None:
        if len(self.told) > MAX_VECTORS or len(self.kept) > MAX_VECTORS:
            raise FormatError(f"a site is told and keeps at most {MAX_VECTORS} vectors, not {len(self.told)} and {len(self.kept)}")


class EvaluateCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Kind `evaluate`; buffers vector[, frozen model's vector][, features, labels]; answers Evaluated, NeedRows or NeedFrozen."""

    architecture: Architecture
    objective: Objective
    rows: Rows
    frozen: bool = False
    attached: bool = False


class NeedRows(msgspec.Struct, frozen=True, tag="need-rows"):
    """This worker does not have the rows: attach them."""

    name: str


class NeedFrozen(msgspec.Struct, frozen=True, tag="need-frozen"):
    """This worker does not have the model that the adapter adapts, by its blob's digest in hexadecimal: send it too."""

    name: str


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    count: int


class Trained(msgspec.Struct, frozen=True, tag="trained"):
    """Buffers: the vector that is sent, then one for each of `kept`, with its length in values; all float32."""

    summary: TrainingSummary
    kept: tuple[int, ...] = ()


class Evaluated(msgspec.Struct, frozen=True, tag="evaluated"):
    evaluation: Evaluation


Answer = Loaded | Trained | Evaluated | NeedRows | NeedFrozen


def read_answer(header: bytes) -> Answer:
    """The struct in an answer's header."""
    return decode(header, Answer)  # type: ignore[arg-type]
