"""FedBN (Li et al. 2021, arXiv:2102.07623): normalisation layers, or any others, stay at their site; the rest is averaged."""

from __future__ import annotations

import numpy as np

from hansa.core.errors import FormatError
from hansa.learning.strategy import Declared, End, Mean, ServerState, Start, Vectors, check_vectors, moved
from hansa.model.layout import Layout
from hansa.model.state import ModelState, Vector

MAX_PREFIXES = 256


class FedBN(Declared, frozen=True, tag="fedbn"):
    """Tensors whose names begin with one of `home` never travel: a site keeps its own, beginning with the job's initial ones.

    The server adds the mean change of the others; the model it makes holds the home tensors as they were at first.
    """

    home: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.home) <= MAX_PREFIXES or not all(self.home):
            raise FormatError(f"FedBN names 1 to {MAX_PREFIXES} beginnings of tensor names that stay at home, none of them empty")

    def stays(self, name: str) -> bool:
        """Whether a tensor of this name stays at home."""
        return name.startswith(self.home)

    def travels(self, layout: Layout) -> Layout:
        away = tuple(tensor for tensor in layout.tensors if not self.stays(tensor.name))
        if not 0 < len(away) < len(layout.tensors):
            raise FormatError(f"{'all' if not away else 'none'} of the model's tensors would stay at home; name some of them, by prefix")
        return Layout(away)

    def bounds(self, layout: Layout, bound: float) -> tuple[float, ...]:
        return (bound,) * len(self.travels(layout).tensors)

    def step(self, base: ModelState, mean: Mean, state: ServerState) -> tuple[ModelState, ServerState]:
        change = np.zeros(base.layout.size)
        change[~self._at_home(base.layout)] = mean.values
        return moved(base, change), state

    def start(self, base: ModelState, told: Vectors, kept: Vectors) -> Start:
        if not kept:
            return Start(base.vector)
        home = self._at_home(base.layout)
        (own,) = check_vectors("the site's own tensors", kept, (int(np.count_nonzero(home)),))
        weights = base.vector.copy()
        weights[home] = own
        return Start(weights)

    def finish(self, base: ModelState, told: Vectors, kept: Vectors, end: End) -> tuple[Vector, Vectors]:
        home = self._at_home(base.layout)
        return (end.weights - base.vector)[~home], (end.weights[home],)

    def _at_home(self, layout: Layout) -> np.ndarray:
        """For each coordinate whether it stays, bool (d,)."""
        return np.repeat([self.stays(tensor.name) for tensor in layout.tensors], [tensor.size for tensor in layout.tensors])
