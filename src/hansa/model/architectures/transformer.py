"""A causal language model over tokens such as bytes, declared."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from hansa.core.errors import FormatError
from hansa.model.architectures.plan import MAX_LAYERS, Entry, Plan, within

MAX_CONTEXT = 1 << 13
MAX_MODEL_WIDTH = 1 << 13
MAX_VOCABULARY = 1 << 16


class Transformer(msgspec.Struct, frozen=True, tag="transformer", forbid_unknown_fields=True):
    """A decoder of pre-norm blocks: RMSNorm (eps 1e-6), causal self-attention, RMSNorm, feed-forward of `multiple` times the width.

    A row is `context` + 1 token ids of 0 to vocabulary - 1: each but the last predicts its successor. No biases, no dropout; `tied` uses
    the embedding as output matrix too. Vaswani et al. 2017 (arXiv:1706.03762), RMSNorm arXiv:1910.07467, SwiGLU arXiv:2002.05202,
    rotary positions arXiv:2104.09864.
    """

    context: int
    width: int
    heads: int
    layers: int
    vocabulary: int = 256
    multiple: int = 4
    activation: Literal["gelu", "swiglu"] = "gelu"
    positions: Literal["learned", "rotary"] = "learned"
    tied: bool = False

    def __post_init__(self) -> None:
        within("the context", self.context, MAX_CONTEXT)
        within("the width", self.width, MAX_MODEL_WIDTH)
        within("the number of heads", self.heads, self.width)
        within("the number of layers", self.layers, MAX_LAYERS)
        within("the vocabulary", self.vocabulary, MAX_VOCABULARY, 2)
        within("the feed-forward multiple", self.multiple, 16)
        if self.width % self.heads:
            raise FormatError(f"a width of {self.width} does not divide into {self.heads} heads; use a divisor of the width")
        if self.activation not in ("gelu", "swiglu"):
            raise FormatError(f"the activation {self.activation!r} is not one of gelu, swiglu")
        if self.positions not in ("learned", "rotary"):
            raise FormatError(f"the positions {self.positions!r} are not one of learned, rotary")
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise FormatError(f"rotary positions turn pairs of values, but a head has {self.width // self.heads}; use an even number")

    @property
    def inputs(self) -> int:
        return self.context + 1

    @property
    def outputs(self) -> int:
        """Logits at each position."""
        return self.vocabulary

    @property
    def footprint(self) -> int:
        width = max(self.vocabulary, 2 * self.multiple * self.width, 3 * self.width, self.heads * self.context)
        return self.context * width

    def plan(self) -> Plan:
        width, inner, gates = self.width, self.multiple * self.width, 2 if self.activation == "swiglu" else 1
        bound = 1.0 / math.sqrt(width)
        # The residual stream sums two branches a layer; smaller ends keep its variance at one layer's (Radford et al. 2019, section 2.3).
        ending = 1.0 / math.sqrt(2 * self.layers)
        entries = [Entry("embedding.weight", (self.vocabulary, width), bound), Entry("norm.weight", (width,), centre=1.0)]
        if self.positions == "learned":
            entries.append(Entry("position.weight", (self.context, width), bound))
        if not self.tied:
            entries.append(Entry("head.weight", (self.vocabulary, width), bound, matrix=True))
        for i in range(self.layers):
            name = f"block{i:02}"
            entries += [
                Entry(f"{name}.attention.input.weight", (3 * width, width), bound, matrix=True, parts=3),
                Entry(f"{name}.attention.norm.weight", (width,), centre=1.0),
                Entry(f"{name}.attention.output.weight", (width, width), bound * ending, matrix=True),
                Entry(f"{name}.feedforward.input.weight", (gates * inner, width), bound, matrix=True, parts=gates),
                Entry(f"{name}.feedforward.norm.weight", (width,), centre=1.0),
                Entry(f"{name}.feedforward.output.weight", (width, inner), ending / math.sqrt(inner), matrix=True),
            ]
        return entries
