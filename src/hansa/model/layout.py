"""The fixed order of a model's tensors: what makes a flat vector of numbers mean the same to everyone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Literal

import msgspec

from hansa.core.encoding import spec_digest
from hansa.core.errors import FormatError
from hansa.core.types import Digest

MAX_TENSORS = 4096
MAX_DIMENSIONS = 8
MAX_SIZE = 1 << 31
MAX_NAME = 128


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor of a model: its name (printable ASCII), shape and dtype; a scalar has the empty shape."""

    name: str
    shape: tuple[int, ...]
    dtype: Literal["float32"] = "float32"

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= MAX_NAME or not self.name.isascii() or not self.name.isprintable():
            raise FormatError(f"a tensor's name has 1 to {MAX_NAME} printable ASCII characters, not {self.name[:MAX_NAME]!r}")
        if len(self.shape) > MAX_DIMENSIONS or not all(0 < extent <= MAX_SIZE for extent in self.shape):
            raise FormatError(
                f"tensor {self.name} has shape {self.shape[: MAX_DIMENSIONS + 1]}; at most {MAX_DIMENSIONS} positive extents are allowed"
            )
        if self.dtype != "float32":
            raise FormatError(f"tensor {self.name} has dtype {self.dtype!r}; only float32 is trained")

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Tensors in ascending order of their names, laid out one after the other in a vector of length `size`.

    FormatError when there are none or too many, when names are unsorted or repeated, or when the size exceeds 2^31.
    """

    tensors: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.tensors) <= MAX_TENSORS:
            raise FormatError(f"a layout has 1 to {MAX_TENSORS} tensors, not {len(self.tensors)}")
        # One order for everyone: then the file format's order, the vector's and the digest's cannot differ.
        for before, after in zip(self.tensors, self.tensors[1:], strict=False):
            if before.name >= after.name:
                raise FormatError(f"tensor {after.name} follows {before.name}; list tensors once each, in ascending order of their names")
        if self.size > MAX_SIZE:
            raise FormatError(f"a layout of {self.size} elements exceeds the limit of {MAX_SIZE}")

    @cached_property
    def size(self) -> int:
        """d, the number of elements of all tensors together."""
        return sum(tensor.size for tensor in self.tensors)

    @cached_property
    def _digest(self) -> Digest:
        return spec_digest(self)

    def digest(self) -> Digest:
        """sha256 of the RFC 8785 form."""
        return self._digest

    @cached_property
    def _spans(self) -> tuple[slice, ...]:
        spans, start = [], 0
        for tensor in self.tensors:
            spans.append(slice(start, start + tensor.size))
            start += tensor.size
        return tuple(spans)

    def spans(self) -> Iterator[tuple[Tensor, slice]]:
        """Each tensor with its place in the flat vector, in order."""
        return zip(self.tensors, self._spans, strict=True)
