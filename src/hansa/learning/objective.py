"""What an objective means on torch: the targets it takes from rows, the loss it minimises, the answers it counts as right."""

from __future__ import annotations

import torch
from torch.nn import functional

from hansa.core.errors import DataError
from hansa.model.architectures import Architecture, Objective, check_objective, inputs, outputs


def targets(architecture: Architecture, objective: Objective, rows: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """What the loss compares the outputs with, one number per prediction, from features (n, k) and labels (n,).

    float32 (n, 1) under binary cross-entropy and squared error, int64 (n,) under cross-entropy, int64 (n, k - 1) for tokens: each one's
    successor. DataError when rows do not fit the model.
    """
    check_objective(architecture, objective)
    features, labels = rows
    if features.shape[1] != inputs(architecture):
        raise DataError(f"the rows have {features.shape[1]} features, but the model takes {inputs(architecture)}")
    if objective is Objective.TOKENS:
        tokens = features.long()
        if not torch.equal(tokens.to(torch.float32), features) or int(tokens.min()) < 0 or int(tokens.max()) >= outputs(architecture):
            raise DataError(f"the rows are not token ids 0 to {outputs(architecture) - 1}; cut them from text with the model's vocabulary")
        return tokens[:, 1:]
    if objective is Objective.SQUARED:
        if outputs(architecture) != 1 or labels.dtype != torch.float32:
            raise DataError("mean squared error needs a model with one output and numeric labels")
        return labels[:, None]
    classes = 2 if objective is Objective.BINARY else outputs(architecture)
    if labels.dtype != torch.int64 or int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise DataError(f"the labels are not classes 0 to {classes - 1}, which the model distinguishes; look at the schema's label mapping")
    return labels[:, None].to(torch.float32) if objective is Objective.BINARY else labels


def loss(objective: Objective, outcome: torch.Tensor, targets: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """The objective over a batch: the predictions' "mean", their "sum", or with "none" one value each, in the targets' shape."""
    match objective:
        case Objective.BINARY:
            return functional.binary_cross_entropy_with_logits(outcome, targets, reduction=reduction)
        case Objective.CATEGORICAL | Objective.TOKENS:
            value = functional.cross_entropy(outcome.flatten(0, -2), targets.flatten(), reduction=reduction)
            return value.view(targets.shape) if reduction == "none" else value
        case Objective.SQUARED:
            return functional.mse_loss(outcome, targets, reduction=reduction)


def correct(objective: Objective, outcome: torch.Tensor, targets: torch.Tensor) -> torch.Tensor | None:
    """The number of right answers, a scalar: the likeliest class, at a threshold of one half for two; None for regression."""
    if objective is Objective.SQUARED:
        return None
    guesses = outcome > 0 if objective is Objective.BINARY else outcome.argmax(-1)
    return (guesses == targets).sum()
