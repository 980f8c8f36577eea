"""A model's numbers: one contiguous float32 vector of which the tensors are views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import FormatError
from hansa.model.layout import Layout

Vector = NDArray[np.float32]


def checked(vector: Vector, size: int, what: str) -> Vector:
    """A read-only view of a contiguous, finite float32 vector of shape (size,); FormatError for anything else."""
    if vector.dtype != np.float32 or vector.shape != (size,):
        raise FormatError(f"{what} must be float32 of shape ({size},), not {vector.dtype} of shape {vector.shape}")
    if not np.isfinite(vector).all():
        raise FormatError(f"{what} holds values that are not finite; lower the learning rate or look at the data")
    view = np.ascontiguousarray(vector).view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, eq=False, slots=True)
class ModelState:
    """The tensors of `layout`, flattened in its order into `vector`, float32 (d,); FormatError when it is not that, or not finite."""

    layout: Layout
    vector: Vector

    def __post_init__(self) -> None:
        object.__setattr__(self, "vector", checked(self.vector, self.layout.size, "a model's vector"))

    def tensors(self) -> dict[str, Vector]:
        """Read-only views of the vector in the tensors' shapes, by name, in the layout's order."""
        return {tensor.name: self.vector[span].reshape(tensor.shape) for tensor, span in self.layout.spans()}

    def __eq__(self, other: object) -> bool:
        """Same layout and the same bits (so -0.0 differs from 0.0)."""
        if not isinstance(other, ModelState):
            return NotImplemented
        return self.layout == other.layout and self.vector.tobytes() == other.vector.tobytes()

    def __hash__(self) -> int:
        return hash((self.layout.digest(), self.vector.tobytes()))
