"""Local training of several clients at once on torch: what `local.train` does for each, in one pass of stacked models.

Batches are the same as in `local.train`; results differ by the order in which products and means are added up. Clients with fewer steps
drop out of the stack as they finish, batches shorter than the stack's longest are masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.batches import passes, steps
from hansa.learning.local import Placed
from hansa.learning.objective import loss, targets
from hansa.learning.optimiser import Optimiser, Tensors
from hansa.learning.stacked import Stacked, stacked
from hansa.learning.strategy import End, LocalTraining, Start, moments
from hansa.model.architectures import Architecture, Objective, build, layout
from hansa.model.state import Vector

_BYTES = {"cpu": 1 << 22, "cuda": 1 << 31}
"""What a stack should take at most: a core's cache, or a part of a device's memory."""

_MOST_INDEX = 1 << 26


def width(architecture: Architecture, local: LocalTraining, device: torch.device) -> int:
    """How many clients are best trained at once: as many as fit the cache with weights and one batch, at least 4."""
    each = 4 * (layout(architecture).size + local.batch * architecture.footprint)
    return min(1024 if device.type == "cuda" else 24, max(4, _BYTES.get(device.type, 1 << 28) // each))


def train_together(
    architecture: Architecture,
    objective: Objective,
    starts: Sequence[Start],
    table: Placed,
    places: Sequence[NDArray[np.intp]],
    local: LocalTraining,
    seeds: Sequence[int],
) -> list[tuple[End, float]]:
    """For each client its `local.train` from its start, on the rows of `table` at its `places`, by its seed: the end, the mean loss.

    ProtocolError when these clients cannot be stacked (train them one by one), DataError and FormatError as for `local.train`.
    """
    device, size = table.features.device, layout(architecture).size
    model, names = _stackable(architecture, device)
    counts = np.array([steps(len(rows), local) for rows in places])
    # The longest first: those still at work are then always the head of the stack.
    order = np.argsort(-counts, kind="stable")
    index, lengths = _schedule([places[client] for client in order], local, [seeds[client] for client in order], counts[order])
    wanted = _targets(architecture, objective, table)
    weights = [_stack([starts[client].weights for client in order], span, shape, device) for span, shape in _spans(architecture)]
    optimiser = _Several(local, weights, [starts[client] for client in order], size)
    at, totals = torch.from_numpy(index).to(device), torch.zeros(len(starts), dtype=torch.float64, device=device)
    rate = local.rate if local == LocalTraining(local.rate, local.batch, local.steps, local.epochs) and not optimiser.corrected else 0.0
    rest = [place for place, name in enumerate(names) if not rate or name not in model.dense]
    live: list[torch.Tensor] = []
    for now, used in zip(at, lengths, strict=True):
        active, longest = int(np.count_nonzero(used)), int(used.max())
        if not live or active < len(live[0]):
            optimiser.keep(active)
            live = [tensor.detach()[:active].requires_grad_() for tensor in weights]
        picked = now[:active, :longest].reshape(-1)
        rows = table.features.index_select(0, picked).view(active, longest, -1)
        outcome = model.forward(dict(zip(names, live, strict=True)), rows, rate)
        each = loss(objective, outcome.flatten(0, 1), wanted.index_select(0, picked), "none")
        # Each prediction's share of its client's mean goes into the gradient directly: fewer operations than means would be.
        shares = _shares(used[:active], longest, each)
        each.backward(shares)  # type: ignore[no-untyped-call]
        gradients = [gradient for place in rest if (gradient := live[place].grad) is not None]
        if rate and rest:
            with torch.no_grad():
                torch._foreach_add_([live[place] for place in rest], gradients, alpha=-rate)
        elif not rate:
            optimiser.step(gradients)
        for tensor in live:
            tensor.grad = None
        totals[:active] += (each.detach() * shares).view(active, -1).sum(1)
    ends, means = _ends(weights, optimiser, counts[order]), totals.cpu().numpy() / counts[order]
    if not np.isfinite(means).all():
        raise FormatError("the model's loss is not finite on these rows; lower the learning rate or normalise the features")
    # Back to the order of the arguments.
    return [(ends[position], float(means[position])) for position in np.argsort(order)]


@lru_cache(maxsize=8)
def _stackable(architecture: Architecture, device: torch.device) -> tuple[Stacked, list[str]]:
    module = build(architecture).to(device)
    names = [tensor.name for tensor in layout(architecture).tensors]
    if {name for name, parameter in module.named_parameters() if parameter.requires_grad} != set(names):
        raise ProtocolError("the model has parameters beside its layout's, so clients are trained one by one")
    return stacked(module), names


def _spans(architecture: Architecture) -> list[tuple[slice, tuple[int, ...]]]:
    return [(span, tensor.shape) for tensor, span in layout(architecture).spans()]


def _stack(vectors: Sequence[Vector], span: slice, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """One tensor of every client, (clients, *shape)."""
    if all(vector is vectors[0] for vector in vectors):
        one = torch.tensor(vectors[0][span], device=device).view(shape)
        return one.expand(len(vectors), *shape).clone()
    return torch.tensor(np.stack([vector[span] for vector in vectors]), device=device).view(len(vectors), *shape)


def _schedule(
    places: Sequence[NDArray[np.intp]], local: LocalTraining, seeds: Sequence[int], counts: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the table (steps, clients, batch) and how many of them each batch has (steps, clients), 0 once a client has finished."""
    batch, most = min(local.batch, max(map(len, places))), int(counts.max())
    if most * len(places) * batch > _MOST_INDEX:
        raise ProtocolError("so many steps are not planned ahead, so clients are trained one by one")
    index, lengths = np.zeros((len(places), most * batch), np.int64), np.zeros((len(places), most), np.int64)
    for client, (rows, seed) in enumerate(zip(places, seeds, strict=True)):
        step = 0
        for order in passes(len(rows), local, seed):
            full, rest = divmod(len(order), batch)
            index[client, step * batch : step * batch + len(order)] = rows[order]
            lengths[client, step : step + full] = batch
            step += full
            if rest:
                lengths[client, step] = rest
                step += 1
    stacked_index = index.reshape(len(places), most, batch).transpose(1, 0, 2)
    return np.ascontiguousarray(stacked_index), np.ascontiguousarray(lengths.T)


@lru_cache(maxsize=2)
def _targets(architecture: Architecture, objective: Objective, table: Placed) -> torch.Tensor:
    return targets(architecture, objective, table)


def _shares(used: NDArray[np.int64], longest: int, each: torch.Tensor) -> torch.Tensor:
    """What every loss counts in its client's mean, in the losses' shape: 1/n where the client's batch has the row, else 0."""
    parts = each.numel() // (len(used) * longest)
    if (used == longest).all():
        return torch.full_like(each, 1 / (longest * parts))
    mask = (np.arange(longest) < used[:, None]) / (used[:, None] * parts)
    rows = torch.from_numpy(mask.astype(np.float32)).to(each.device).view(-1, *[1] * (each.dim() - 1))
    return rows.expand_as(each)


class _Several(Optimiser):
    """The optimiser on stacked weights: norms are each client's own, and clients leave from the end."""

    def __init__(self, local: LocalTraining, weights: list[torch.Tensor], starts: Sequence[Start], size: int) -> None:
        given = {len(start.moments) for start in starts}
        taken = {float(start.moments[-1][0]) for start in starts if start.moments and local.optimiser != "sgd"}
        if len(given) > 1 or len(taken) > 1:
            raise ProtocolError("clients that carry moments from different numbers of steps are trained one by one")
        joined = [self._joined([start.moments[i] for start in starts], weights) for i in range(min(2, given.pop()))]
        carried = (*joined, np.array([taken.pop()], np.float32)) if taken else tuple(joined)
        corrections = [start.correction for start in starts if start.correction is not None]
        if corrections and len(corrections) < len(starts):
            raise ProtocolError("clients with and without a correction are trained one by one")
        correction = self._joined(corrections, weights) if corrections else None
        super().__init__(msgspec.structs.replace(local, clip=0.0), weights, Start(starts[0].weights, correction, carried))
        self._most, self._size, self._count = local.clip, size, len(starts)
        self.corrected = bool(corrections)
        self._whole = [list(moment) for moment in self._moments]

    @staticmethod
    def _joined(vectors: Sequence[Vector], weights: list[torch.Tensor]) -> Vector:
        """Flat vectors of all clients, rearranged tensor by tensor as the stacked weights are."""
        matrix, pieces, start = np.stack(vectors), [], 0
        for tensor in weights:
            width = tensor[0].numel()
            pieces.append(matrix[:, start : start + width].ravel())
            start += width
        return np.concatenate(pieces)

    def keep(self, count: int) -> None:
        """Go on with the first `count` clients."""
        if count == self._count:
            return
        self._count = count
        self._weights = [tensor[:count] for tensor in self._weights]
        self._moments = [[tensor[:count] for tensor in each] for each in self._moments]
        self._correction = None if self._correction is None else [tensor[:count] for tensor in self._correction]
        self._anchor = None if self._anchor is None else [tensor[:count] for tensor in self._anchor]

    @torch.no_grad()
    def step(self, gradients: Tensors) -> None:
        if self._most:
            norms = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0).sqrt()
            factors = (self._most / norms).clamp(max=1.0)
            gradients = [gradient * factors.view(-1, *[1] * (gradient.dim() - 1)) for gradient in gradients]
        super().step(gradients)

    def of(self, counts: NDArray[np.intp]) -> list[tuple[Vector, ...]]:
        """Each client's moments, after so many steps of its own."""
        matrices = [_matrix(each) for each in self._whole]
        steps = [np.array([self._before + count], np.float32) for count in counts] if self._local.optimiser != "sgd" else None
        return [(*(matrix[client] for matrix in matrices), *(() if steps is None else (steps[client],))) for client in range(len(counts))]


def _matrix(tensors: Sequence[torch.Tensor]) -> Vector:
    """Stacked tensors as one row per client."""
    flat: Vector = torch.cat([tensor.detach().flatten(1) for tensor in tensors], 1).cpu().numpy()
    return flat


def _ends(weights: Sequence[torch.Tensor], optimiser: _Several, counts: NDArray[np.intp]) -> list[End]:
    matrix = _matrix(weights)
    moved = optimiser.of(counts) if moments(optimiser._local, 1) else [()] * len(counts)
    return [End(row, int(count), each) for row, count, each in zip(matrix, counts, moved, strict=True)]
