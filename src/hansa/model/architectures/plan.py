"""A family's plan: the tensors that a declaration stands for, each with how it starts; and the bounds that declared numbers keep."""

from __future__ import annotations

import math
from typing import NamedTuple

from hansa.core.errors import FormatError

MAX_WIDTH = 1 << 16
MAX_LAYERS = 64


class Entry(NamedTuple):
    """One tensor: it starts uniform in `centre` ± `bound`.

    `matrix`: the weight of a linear layer, y = W x, which an adapter may target. `parts`: so many matrices stand in it one below the other.
    """

    name: str
    shape: tuple[int, ...]
    bound: float = 0.0
    centre: float = 0.0
    matrix: bool = False
    parts: int = 1


Plan = list[Entry]


def within(what: str, value: int, most: int, least: int = 1) -> None:
    """FormatError unless least <= value <= most."""
    if not least <= value <= most:
        raise FormatError(f"{what} is {value}; it must be {least} to {most}")


def affine(name: str, before: int, after: int) -> Plan:
    """A linear layer with bias, both uniform in ±1/sqrt(fan-in)."""
    bound = 1.0 / math.sqrt(before)
    return [Entry(f"{name}.bias", (after,), bound), Entry(f"{name}.weight", (after, before), bound, matrix=True)]
