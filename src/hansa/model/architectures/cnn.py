"""Convolutional networks for images, declared block by block; GroupNorm, because a batch's statistics neither average nor replay."""

from __future__ import annotations

import math

import msgspec

from hansa.core.errors import FormatError
from hansa.model.architectures.plan import MAX_LAYERS, MAX_WIDTH, Entry, Plan, affine, within

MAX_PIXELS = 1024
MAX_FILTERS = 4096


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A convolution, GroupNorm over `groups` (0: none), relu, then max-pooling over `pool` x `pool` pixels (1: none).

    The kernel has an odd side and is padded, so that stride 1 keeps the image's size. GroupNorm: Wu and He 2018 (arXiv:1803.08494).
    """

    filters: int
    kernel: int = 3
    stride: int = 1
    pool: int = 2
    groups: int = 0

    def __post_init__(self) -> None:
        within("the number of filters", self.filters, MAX_FILTERS)
        within("the stride", self.stride, 4)
        within("the pooling", self.pool, 4)
        within("the number of groups", self.groups, self.filters, 0)
        if self.kernel not in (1, 3, 5, 7):
            raise FormatError(f"the kernel's side is {self.kernel}; it must be 1, 3, 5 or 7")
        if self.groups and self.filters % self.groups:
            raise FormatError(f"{self.filters} filters do not divide into {self.groups} groups; use a divisor of the filters, or 0")


class Cnn(msgspec.Struct, frozen=True, tag="cnn", forbid_unknown_fields=True):
    """Convolution blocks, then fully connected layers of the widths `hidden` with relu, then one to `classes` logits.

    A row is an image flattened in the order (channels, height, width).
    """

    channels: int
    height: int
    width: int
    classes: int
    blocks: tuple[Block, ...]
    hidden: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        within("the number of channels", self.channels, 16)
        for extent in (self.height, self.width):
            within("an image's height or width", extent, MAX_PIXELS)
        within("the number of classes", self.classes, MAX_WIDTH)
        within("the number of blocks", len(self.blocks), MAX_LAYERS)
        within("the number of hidden layers", len(self.hidden), MAX_LAYERS, 0)
        for width in self.hidden:
            within("a layer's width", width, MAX_WIDTH)
        if not all(min(shape) for shape in self.images()):
            raise FormatError(f"an image of {self.height} x {self.width} pixels is too small for so many strides and poolings; use fewer")

    @property
    def inputs(self) -> int:
        return self.channels * self.height * self.width

    @property
    def outputs(self) -> int:
        return self.classes

    def images(self) -> list[tuple[int, int, int]]:
        """Channels, height and width before the first and after each block."""
        shapes = [(self.channels, self.height, self.width)]
        for block in self.blocks:
            _, height, width = shapes[-1]
            shapes.append((block.filters, -(-height // block.stride) // block.pool, -(-width // block.stride) // block.pool))
        return shapes

    @property
    def widths(self) -> tuple[int, ...]:
        """Values before, between and after the fully connected layers."""
        return (math.prod(self.images()[-1]), *self.hidden, self.classes)

    @property
    def footprint(self) -> int:
        # A convolution's values before pooling, beside its input unfolded over the kernel.
        sizes = [
            -(-height // block.stride) * -(-width // block.stride) * max(block.filters, channels * block.kernel**2)
            for block, (channels, height, width) in zip(self.blocks, self.images(), strict=False)
        ]
        return max(self.inputs, *self.widths, *sizes)

    def plan(self) -> Plan:
        entries: Plan = []
        for i, (block, (channels, _, _)) in enumerate(zip(self.blocks, self.images(), strict=False)):
            name, shape = f"block{i:02}", (block.filters, channels, block.kernel, block.kernel)
            bound = 1.0 / math.sqrt(channels * block.kernel**2)
            entries += [Entry(f"{name}.convolution.bias", shape[:1], bound), Entry(f"{name}.convolution.weight", shape, bound)]
            if block.groups:
                entries += [Entry(f"{name}.norm.bias", shape[:1]), Entry(f"{name}.norm.weight", shape[:1], centre=1.0)]
        names = [f"dense{i:02}" for i in range(len(self.hidden))] + ["head"]
        for name, before, after in zip(names, self.widths, self.widths[1:], strict=False):
            entries += affine(name, before, after)
        return entries
