"""A narrower model cut out of a wide one, for weak devices: leading channels (HeteroFL, Diao et al. 2021, arXiv:2010.01264)."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError
from hansa.model.architectures.cnn import Block, Cnn
from hansa.model.architectures.declaration import Architecture, layout
from hansa.model.architectures.dense import Linear, Mlp
from hansa.model.architectures.transformer import Transformer


def narrow(architecture: Architecture, share: float) -> tuple[Architecture, NDArray[np.intp]]:
    """The architecture with about `share` (0 to 1) of each hidden layer, and where its vector's entries lie in the wide model's vector.

    Hidden widths and filters are rounded up; filters under GroupNorm are kept by whole groups, whose members stay the same, and a
    transformer's width by whole heads. Inputs and outputs keep their width, so a linear model stays as it is. FormatError for trees and
    adapters, which have no hidden width of their own.
    """
    if not 0 < share <= 1:
        raise FormatError(f"the share of the width is {share}; it must be above 0 and at most 1")
    small = _declared(architecture, share)
    parts = {entry.name: entry.parts for entry in architecture.plan()}
    wanted = {tensor.name: tensor.shape for tensor in layout(small).tensors}
    places = []
    for tensor, span in layout(architecture).spans():
        # Matrices stacked in one tensor (queries, keys, values) are cut one by one.
        count = parts[tensor.name]
        wide, cut = ((count, shape[0] // count, *shape[1:]) for shape in (tensor.shape, wanted[tensor.name]))
        places.append(np.arange(span.start, span.stop).reshape(wide)[tuple(slice(extent) for extent in cut)].reshape(-1))
    return small, np.concatenate(places)


def _part(count: int, share: float) -> int:
    """At least one, at most all."""
    return max(1, min(count, math.ceil(count * share)))


def _declared(architecture: Architecture, share: float) -> Architecture:
    match architecture:
        case Linear():
            return architecture
        case Mlp(hidden=hidden):
            return msgspec.structs.replace(architecture, hidden=tuple(_part(width, share) for width in hidden))
        case Cnn(blocks=blocks, hidden=hidden):
            kept = tuple(_block(block, share) for block in blocks)
            return msgspec.structs.replace(architecture, blocks=kept, hidden=tuple(_part(width, share) for width in hidden))
        case Transformer(width=width, heads=heads):
            few = _part(heads, share)
            return msgspec.structs.replace(architecture, heads=few, width=width // heads * few)
        case _:
            raise FormatError(f"{type(architecture).__name__.lower()} cannot be narrowed; use it whole on every device")


def _block(block: Block, share: float) -> Block:
    if not block.groups:
        return msgspec.structs.replace(block, filters=_part(block.filters, share))
    groups = _part(block.groups, share)
    return msgspec.structs.replace(block, filters=block.filters // block.groups * groups, groups=groups)
