"""Public draws: an order of names that everybody computes alike from a public seed, whoever arrived first.

The seed must become known only after the names are fixed (R8); who may choose its name afterwards chooses its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable

from hansa.core.encoding import encode, sha256
from hansa.core.errors import ProtocolError


def draw(*context: str | int) -> bytes:
    """32 bytes that depend on the context alone: sha256 of its JSON form."""
    return sha256(encode(("hansa/draw/1", *context)))


def shuffled(names: Iterable[str], *context: str | int) -> tuple[str, ...]:
    """The names by ascending draw(context, name): uniform over the seeds in the context; ProtocolError when a name is repeated."""
    ordered = sorted(names, key=lambda name: (draw(*context, name), name))
    if len(set(ordered)) != len(ordered):
        raise ProtocolError("a name is listed twice; every peer takes part once")
    return tuple(ordered)


def permutation(count: int, *context: str | int) -> tuple[int, ...]:
    """A permutation of 0 to count - 1."""
    return tuple(sorted(range(count), key=lambda each: draw(*context, each)))
