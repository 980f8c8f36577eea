"""Convolutional networks on torch."""

from __future__ import annotations

from torch import nn

from hansa.model.architectures.cnn import Block, Cnn


def cnn(architecture: Cnn) -> nn.Module:
    """Rows (n, channels * height * width) to logits (n, classes)."""
    model = nn.Sequential()
    model.add_module("image", nn.Unflatten(1, (architecture.channels, architecture.height, architecture.width)))
    for i, (block, (channels, _, _)) in enumerate(zip(architecture.blocks, architecture.images(), strict=False)):
        model.add_module(f"block{i:02}", _block(block, channels))
    model.add_module("flat", nn.Flatten())
    widths = architecture.widths
    for i, (before, after) in enumerate(zip(widths, widths[1:-1], strict=False)):
        model.add_module(f"dense{i:02}", nn.Linear(before, after))
        model.add_module(f"dense{i:02}-relu", nn.ReLU())
    model.add_module("head", nn.Linear(widths[-2], widths[-1]))
    return model


def _block(block: Block, channels: int) -> nn.Module:
    model = nn.Sequential()
    model.add_module("convolution", nn.Conv2d(channels, block.filters, block.kernel, block.stride, block.kernel // 2))
    if block.groups:
        model.add_module("norm", nn.GroupNorm(block.groups, block.filters))
    model.add_module("relu", nn.ReLU())
    if block.pool > 1:
        model.add_module("pool", nn.MaxPool2d(block.pool))
    return model
