"""A node's whole model in fixed point, so that nodes that average models without a hub get equal bits."""

from __future__ import annotations

import numpy as np

from hansa.core.errors import FormatError
from hansa.learning.topology.partial import Values
from hansa.model.layout import Layout
from hansa.model.state import ModelState

FRACTION = 24
"""A weight is a multiple of 2^-24 between -128 and 128: four bytes on the wire, like float32."""

LARGEST = (1 << 31) - 1


def to_integers(state: ModelState) -> Values:
    """round-half-even(x * 2^24) as int64 (d,); FormatError when a weight is 128 or more in magnitude."""
    integers = np.rint(state.vector.astype(np.float64) * float(1 << FRACTION))
    if np.abs(integers).max() > LARGEST:
        raise FormatError("a weight of 128 or more does not fit the fixed point of averaged models; add weight decay or use the star")
    return integers.astype(np.int64)


def to_state(layout: Layout, integers: Values) -> ModelState:
    """integers * 2^-24, rounded once to float32."""
    return ModelState(layout, (integers.astype(np.float64) / float(1 << FRACTION)).astype(np.float32))
