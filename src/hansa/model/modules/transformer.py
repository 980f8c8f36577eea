"""A causal language model on torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hansa.model.architectures.transformer import Transformer

_EPSILON = 1e-6
_WAVELENGTH = 10_000.0


class Decoder(nn.Module):
    """Rows of token ids (n, any) to logits (n, t, vocabulary) after each of the first t <= context tokens."""

    def __init__(self, architecture: Transformer) -> None:
        super().__init__()
        self._context = architecture.context
        self._blocks = [_Block(architecture) for _ in range(architecture.layers)]
        for i, block in enumerate(self._blocks):
            self.add_module(f"block{i:02}", block)
        self.embedding = nn.Embedding(architecture.vocabulary, architecture.width)
        self.position = nn.Embedding(architecture.context, architecture.width) if architecture.positions == "learned" else None
        self.norm = nn.RMSNorm(architecture.width, _EPSILON)
        self.head = None if architecture.tied else _linear(architecture.width, architecture.vocabulary)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        tokens = rows[:, : self._context].long()
        values: torch.Tensor = self.embedding(tokens)
        if self.position is not None:
            values = values + self.position.weight[: tokens.shape[1]]
        for block in self._blocks:
            values = block(values)
        values = self.norm(values)
        outcome: torch.Tensor = functional.linear(values, self.embedding.weight) if self.head is None else self.head(values)
        return outcome


class _Block(nn.Module):
    def __init__(self, architecture: Transformer) -> None:
        super().__init__()
        self.attention = _Attention(architecture)
        self.feedforward = _FeedForward(architecture)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        values = values + self.attention(values)
        outcome: torch.Tensor = values + self.feedforward(values)
        return outcome


class _Attention(nn.Module):
    def __init__(self, architecture: Transformer) -> None:
        super().__init__()
        width = architecture.width
        self._heads = architecture.heads
        self.norm = nn.RMSNorm(width, _EPSILON)
        self.input = _linear(width, 3 * width)
        self.output = _linear(width, width)
        self._turns = architecture.positions == "rotary"
        if self._turns:
            cosines, sines = _rotation(architecture.context, width // architecture.heads)
            self.register_buffer("cosines", cosines, persistent=False)
            self.register_buffer("sines", sines, persistent=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        shape = values.shape
        parts = self.input(self.norm(values)).view(*shape[:-1], 3, self._heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        if self._turns:
            query, key = self._turned(query), self._turned(key)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        outcome: torch.Tensor = self.output(mixed.transpose(1, 2).reshape(shape))
        return outcome

    def _turned(self, values: torch.Tensor) -> torch.Tensor:
        first, second = values.chunk(2, -1)
        cosines, sines = self.get_buffer("cosines")[: values.shape[-2]], self.get_buffer("sines")[: values.shape[-2]]
        return torch.cat([first * cosines - second * sines, second * cosines + first * sines], -1)


class _FeedForward(nn.Module):
    def __init__(self, architecture: Transformer) -> None:
        super().__init__()
        inner = architecture.multiple * architecture.width
        self._gated = architecture.activation == "swiglu"
        self.norm = nn.RMSNorm(architecture.width, _EPSILON)
        self.input = _linear(architecture.width, 2 * inner if self._gated else inner)
        self.output = _linear(inner, architecture.width)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        values = self.input(self.norm(values))
        if self._gated:
            gate, value = values.chunk(2, -1)
            values = functional.silu(gate) * value
        else:
            values = functional.gelu(values)
        outcome: torch.Tensor = self.output(values)
        return outcome


def _linear(before: int, after: int) -> nn.Linear:
    return nn.Linear(before, after, bias=False)


def _rotation(context: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines (context, size / 2) of position / 10000^(2 i / size)."""
    rates = _WAVELENGTH ** (-np.arange(0, size, 2) / size)
    angles = np.arange(context)[:, None] * rates
    return torch.from_numpy(np.cos(angles).astype(np.float32)), torch.from_numpy(np.sin(angles).astype(np.float32))
