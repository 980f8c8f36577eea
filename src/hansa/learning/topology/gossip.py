"""Gossip: each outer step every node averages with one random partner, and nobody waits for anybody else.

With x the model before local training, u its change, both in fixed point, and bars for the mean over the pair (halves to even):

    v' = momentum * v + pull * (mean(x) - x) + rate * mean(u)        x' = x + round-half-even(v')

in float64, one operation after the other (R12). The form is NoLoCo's (Kolehmainen et al. 2025, arXiv:2506.10911, groups of two). With
momentum 0 and rate = pull = 1 both partners hold mean(x) + mean(u) afterwards, the same bits. Over all nodes the pull cancels: the mean
model moves by momentum * mean(v) + rate * mean(u), to the rounding unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import ProtocolError
from hansa.learning.topology.declaration import Gossip
from hansa.learning.topology.draw import shuffled
from hansa.learning.topology.fixed import LARGEST
from hansa.learning.topology.partial import Partial, Values, frozen

Pair = tuple[str, str]


def pairs(names: Iterable[str], seed: int, step: int) -> tuple[Pair, ...]:
    """A random matching of one outer step; with an odd number one node meets itself, which leaves its mean where it is."""
    order = shuffled(names, "gossip", seed, step)
    return tuple((order[place], order[min(place + 1, len(order) - 1)]) for place in range(0, len(order), 2))


def halve(a: Values, b: Values) -> Values:
    """(a + b) / 2 to the nearest integer, halves to the even one, whichever comes first."""
    size = a.size
    total = frozen(a, size, LARGEST, "a partner's vector") + frozen(b, size, LARGEST, "a partner's vector")
    half = total >> 1
    return np.asarray(half + (total & half & 1), np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class Gossiper:
    """One node between two outer steps: its model int64 (d,) in units of 2^-24 and its direction float64 (d,) in the same units."""

    model: Values
    direction: NDArray[np.float64]

    @classmethod
    def starting(cls, model: Values) -> Gossiper:
        return cls(model, np.zeros(len(model)))

    def meet(self, declared: Gossip, change: Values, partner: Values, partners_change: Values) -> Gossiper:
        """The node after it met a partner whose model and change these are; ProtocolError when their lengths differ."""
        if not len(self.model) == len(change) == len(partner) == len(partners_change):
            raise ProtocolError("partners' vectors have different lengths; both must hold models of the same layout")
        direction = np.multiply(self.direction, declared.momentum)
        apart = (halve(self.model, partner) - self.model).astype(np.float64)
        np.add(direction, np.multiply(apart, declared.pull), out=direction)
        together = halve(change, partners_change).astype(np.float64)
        np.add(direction, np.multiply(together, declared.rate), out=direction)
        moved = self.model + np.rint(direction).astype(np.int64)
        return Gossiper(frozen(moved, len(moved), LARGEST, "the averaged model"), direction)


def closed(models: Mapping[str, Values], seed: int, step: int, meetings: int) -> dict[str, Values]:
    """The models after so many meetings without training in between, whose matchings follow those of outer step `step`."""
    held = dict(models)
    for meeting in range(meetings):
        for a, b in pairs(held, seed, step + 1 + meeting):
            held[a] = held[b] = halve(held[a], held[b])
    return held


def consensus(models: Iterable[Values]) -> Values:
    """The mean of all models, to the nearest integer: what everybody would hold if gossip went on for ever."""
    total: Partial | None = None
    for model in models:
        each = Partial(model, 1, LARGEST)
        total = each if total is None else total + each
    if total is None:
        raise ProtocolError("there is no model to average; at least one node must be present")
    return total.mean()
