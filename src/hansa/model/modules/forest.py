"""A forest of trees on torch: all rows descend all trees together, level by level."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hansa.model.architectures.trees import Trees


class Forest(nn.Module):
    """Rows (n, inputs) to the trees' sums (n, outputs); trees that are not grown yet have leaves of zero."""

    def __init__(self, architecture: Trees) -> None:
        super().__init__()
        self._declared = architecture
        start = {entry.name: nn.Parameter(torch.zeros(entry.shape)) for entry in architecture.plan()}
        self.bins, self.features = start["bins"], start["features"]
        self.leaves, self.levels = start["leaves"], start["levels"]
        edges = np.append(architecture.edges(), np.float32(np.inf))
        self.register_buffer("edges", torch.from_numpy(edges), persistent=False)
        self.register_buffer("order", torch.arange(architecture.trees), persistent=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        declared, order = self._declared, self.get_buffer("order")
        # A stranger's forest may hold anything finite; clamped, it can be wrong but not out of bounds.
        features = self.features.long().clamp(0, declared.inputs - 1).flatten()
        thresholds = self.get_buffer("edges")[self.bins.long().clamp(0, declared.bins - 1)].flatten()
        inner = (1 << declared.depth) - 1
        node = torch.zeros_like(order).expand(len(rows), -1)
        for _ in range(declared.depth):
            place = order * inner + node
            node = 2 * node + 1 + (rows.gather(1, features[place]) > thresholds[place])
        values = self.leaves.flatten()[order * (inner + 1) + node - inner]
        # Step after step, as `trees.predict` adds: a library's own sum has an order that depends on the machine (R12).
        total = torch.zeros(len(rows), declared.outputs, device=rows.device)
        for step in values.reshape(len(rows), declared.steps, declared.outputs).unbind(1):
            total = total + step
        return total
