"""Low-rank adapters of a frozen model, declared (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

import math

import msgspec

from hansa.core.errors import FormatError
from hansa.core.types import BlobRef
from hansa.model.architectures.cnn import Cnn
from hansa.model.architectures.dense import Linear, Mlp
from hansa.model.architectures.plan import Entry, Plan, within
from hansa.model.architectures.transformer import Transformer

MAX_RANK = 256
MAX_TARGETS = 1024


class Lora(msgspec.Struct, frozen=True, tag="lora", forbid_unknown_fields=True):
    """y = W x + alpha / rank * B A x in linear layers of `base`; only A (rank, in) and B (out, rank) are trained, sent and stored.

    `weights` names the frozen model's blob, which whoever builds the module fetches by that digest. `targets` are prefixes of weights'
    names, each of at least one linear layer; none means all linear layers. A starts uniform in ±1/sqrt(in), B at zero.
    """

    base: Linear | Mlp | Cnn | Transformer
    weights: BlobRef
    rank: int
    alpha: float
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        within("the rank", self.rank, MAX_RANK)
        within("the number of targets", len(self.targets), MAX_TARGETS, 0)
        if not 0 < self.alpha <= 1024:
            raise FormatError(f"alpha is {self.alpha}; it must be above 0 and at most 1024")
        if len(self.weights.digest) != 32 or self.weights.size < 1:
            raise FormatError("an adapter names its frozen model by a blob's digest of 32 bytes and its size")
        names = [entry.name for entry in self.base.plan() if entry.matrix]
        for target in self.targets:
            if not any(name.startswith(target) for name in names):
                raise FormatError(f"no linear layer's weight begins with {target[:128]!r}; this model has {', '.join(names[:8])}")

    @property
    def inputs(self) -> int:
        return self.base.inputs

    @property
    def outputs(self) -> int:
        return self.base.outputs

    @property
    def scale(self) -> float:
        """What B A is multiplied by."""
        return self.alpha / self.rank

    @property
    def footprint(self) -> int:
        positions = self.base.context if isinstance(self.base, Transformer) else 1
        return max(self.base.footprint, positions * self.rank)

    def layers(self) -> dict[str, tuple[int, int]]:
        """Outputs and inputs of the adapted layers, by the layers' names."""
        found = {}
        for entry in self.base.plan():
            if entry.matrix and entry.name.startswith(self.targets or ("",)):
                after, before = entry.shape
                found[entry.name.removesuffix(".weight")] = (after, before)
        return found

    def plan(self) -> Plan:
        entries: Plan = []
        for name, (after, before) in self.layers().items():
            entries += [Entry(f"{name}.a", (self.rank, before), 1.0 / math.sqrt(before)), Entry(f"{name}.b", (after, self.rank))]
        return entries
