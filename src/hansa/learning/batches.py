"""The order in which local training takes a site's rows, a function of the seed alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hansa.learning.strategy import LocalTraining


def steps(rows: int, local: LocalTraining) -> int:
    """Optimiser steps of one round at a site with so many rows."""
    return local.steps or local.epochs * math.ceil(rows / local.batch)


def passes(rows: int, local: LocalTraining, seed: int) -> Iterator[NDArray[np.intp]]:
    """Row numbers of freshly shuffled passes, each to be cut into batches, the last of them smaller; the last pass may be cut short."""
    bits, left = np.random.PCG64(seed), steps(rows, local)
    while left:
        # Sorting raw words is a shuffle that no later version of numpy can change.
        order = np.argsort(bits.random_raw(rows), kind="stable")[: left * local.batch]
        yield order
        left -= math.ceil(len(order) / local.batch)
