"""A shop and a round's work as bytes and files, for the processes that share it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from hansa.core.encoding import encode
from hansa.core.errors import ConfigError, FormatError
from hansa.learning.local import Placed
from hansa.learning.strategy import Vectors
from hansa.model.state import ModelState
from hansa.simulation.partition import Dealt, Dirichlet, Drawn, Iid, Index, Quantity
from hansa.simulation.poisoned import Poisoned
from hansa.simulation.population import Population, Shared, Synthetic, SyntheticPopulation
from hansa.simulation.work import Call, Kept, Outcome, Shop, Work

_FEATURES, _LABELS, _ORDER, _BOUNDS, _DESCRIPTION = "features.npy", "labels.npy", "order.npy", "bounds.npy", "shop.json"

Buffer = bytes | bytearray | memoryview


class _Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shop beside its arrays: `drawn` for clients that draw from the table, `synthetic` for those that have none."""

    work: Work
    clients: int
    seed: int = 0
    drawn: Iid | Dirichlet | Quantity | None = None
    synthetic: Synthetic | None = None


def write_shop(shop: Shop, folder: Path) -> None:
    """Leave in a folder what another process needs to do the same work; arrays are mapped there, not copied."""
    population = shop.population.honest if isinstance(shop.population, Poisoned) else shop.population
    if isinstance(population, SyntheticPopulation):
        described = _Description(shop.work, population.clients, population.seed, synthetic=population.declared)
    elif isinstance(population, Shared):
        assignment = population.assignment
        np.save(folder / _FEATURES, population.placed.features.cpu().numpy())
        np.save(folder / _LABELS, population.placed.labels.cpu().numpy())
        if isinstance(assignment, Dealt):
            described, bounds = _Description(shop.work, assignment.clients), assignment.offsets
        elif isinstance(assignment, Drawn):
            described = _Description(shop.work, assignment.clients, assignment.seed, assignment.partition)
            bounds = assignment.starts
        else:
            raise ConfigError("an assignment of one's own cannot be sent to other processes; take the executor sequential or vectorised")
        np.save(folder / _ORDER, assignment.order)
        np.save(folder / _BOUNDS, bounds)
    else:
        raise ConfigError("a population of one's own cannot be sent to other processes; take the executor sequential or vectorised")
    (folder / _DESCRIPTION).write_bytes(msgspec.json.encode(described))


def read_shop(folder: Path, device: torch.device) -> Shop:
    """The shop in a folder."""
    described = msgspec.json.decode((folder / _DESCRIPTION).read_bytes(), type=_Description)
    if described.synthetic is not None:
        made: Population = SyntheticPopulation(described.synthetic, described.clients, described.seed, device)
        return Shop.of(described.work, made)
    # Mapped copy-on-write: all processes share one table, and torch gets memory that it believes it could write to.
    features, labels = (np.load(folder / name, mmap_mode="c") for name in (_FEATURES, _LABELS))
    order, bounds = np.load(folder / _ORDER), np.load(folder / _BOUNDS)
    if described.drawn is None:
        assignment: Dealt | Drawn = Dealt(order, bounds)
    else:
        assignment = Drawn(described.drawn, described.clients, described.seed, order, bounds)
    placed = Placed(torch.from_numpy(features).to(device), torch.from_numpy(labels).to(device))
    return Shop.of(described.work, Shared(placed, assignment))


class _Shape(msgspec.Struct, frozen=True):
    """Whose kept vectors follow, cut into which lengths: the strategy's, then the compression's."""

    clients: tuple[int, ...]
    strategy: tuple[int, ...] = ()
    compression: tuple[int, ...] = ()


class Header(msgspec.Struct, frozen=True):
    """A part of a round: the cohort, and which places of it are asked for."""

    folder: str
    within: str
    round: int
    clients: tuple[int, ...]
    places: tuple[int, ...]
    told: tuple[int, ...]
    kept: _Shape


class Answer(msgspec.Struct, frozen=True):
    """What came of the places, in their order; `gathered` is the head of the sums or rows, `held` the places of held vectors.

    While vectors are held, `kept` is what strategies keep, by place, and nothing has been compressed yet.
    """

    gathered: list[int]
    width: int
    held: tuple[int, ...]
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    kept: _Shape
    cpu: float


def _bytes(values: NDArray[np.generic]) -> bytes | memoryview:
    """An array's memory, not copied."""
    return np.ascontiguousarray(values).data.cast("B") if values.size else b""


def _pack_kept(kept: dict[int, Kept]) -> tuple[_Shape, bytes]:
    if not kept:
        return _Shape(()), b""
    strategy, compression = next(iter(kept.values()))
    rows = [np.concatenate([*first, *second]) for first, second in kept.values()]
    return _Shape(tuple(kept), tuple(map(len, strategy)), tuple(map(len, compression))), np.concatenate(rows).tobytes()


def _unpack_kept(shape: _Shape, data: Buffer) -> dict[int, Kept]:
    if not shape.clients:
        return {}
    rows = np.frombuffer(data, np.float32).reshape(len(shape.clients), -1)
    cuts = np.cumsum([*shape.strategy, *shape.compression])[:-1]
    pieces = [np.split(row, cuts) for row in rows]
    parts = len(shape.strategy)
    return {client: (tuple(each[:parts]), tuple(each[parts:])) for client, each in zip(shape.clients, pieces, strict=True)}


def pack_call(call: Call, folder: Path, within: str, places: Sequence[int]) -> tuple[bytes, list[bytes | memoryview]]:
    """Header and buffers: the model, what sites are told, what these clients keep."""
    kept = {client: call.kept[client] for client in (int(call.clients[place]) for place in places) if client in call.kept}
    shape, rows = _pack_kept(kept)
    told = np.concatenate(call.told).tobytes() if call.told else b""
    clients, lengths = tuple(call.clients.tolist()), tuple(map(len, call.told))
    header = Header(str(folder) if folder != Path() else "", within, call.round, clients, tuple(places), lengths, shape)
    return encode(header), [_bytes(call.base.vector), told, rows]


def unpack_call(header: Header, shop: Shop, buffers: Sequence[Buffer]) -> Call:
    if len(buffers) != 3:
        raise FormatError(f"a part of a round comes with 3 buffers, not {len(buffers)}")
    base = ModelState(shop.work.layout, np.frombuffer(buffers[0], np.float32))
    told: Vectors = ()
    if header.told:
        told = tuple(np.split(np.frombuffer(buffers[1], np.float32), np.cumsum(header.told)[:-1]))
    clients: Index = np.array(header.clients, np.intp)
    return Call(header.round, base, told, clients, _unpack_kept(header.kept, buffers[2]))


def pack_outcome(outcome: Outcome, places: Sequence[int], cpu: float) -> tuple[bytes, list[bytes | memoryview]]:
    gathered, values = outcome.gathered.pack() if outcome.gathered.count else ([], np.empty((0, 0), np.int64))
    held = tuple(sorted(outcome.held))
    waits: dict[int, Kept] = {place: (vectors, ()) for place, vectors in outcome.waiting.items() if vectors}
    shape, rows = _pack_kept(waits if held else outcome.kept)
    where = np.array(places, np.intp)
    answer = Answer(
        gathered, values.itemsize, held, tuple(outcome.steps[where].tolist()), tuple(outcome.losses[where].tolist()), shape, cpu
    )
    vectors = np.concatenate([outcome.held[place] for place in held]).tobytes() if held else b""
    return encode(answer), [_bytes(values), vectors, rows]


def merge(outcome: Outcome, places: Sequence[int], header: bytes, buffers: Sequence[Buffer]) -> None:
    """Take another process's part into the outcome."""
    answer = msgspec.json.decode(header, type=Answer)
    if answer.gathered:
        values: NDArray[np.signedinteger] = np.frombuffer(buffers[0], f"i{answer.width}")
        outcome.gathered.merge(answer.gathered, values)
    if answer.held:
        rows = np.frombuffer(buffers[1], np.float32).reshape(len(answer.held), -1)
        outcome.held.update(zip(answer.held, rows, strict=True))
        waits = _unpack_kept(answer.kept, buffers[2])
        outcome.waiting.update((place, waits[place][0] if place in waits else ()) for place in answer.held)
    else:
        outcome.kept.update(_unpack_kept(answer.kept, buffers[2]))
    outcome.steps[list(places)], outcome.losses[list(places)] = answer.steps, answer.losses
    outcome.cpu += answer.cpu


def shares(shop: Shop, call: Call, count: int) -> list[list[int]]:
    """The cohort's places in `count` parts of about equal work, the largest clients dealt first."""
    size = [shop.population.size(int(client)) for client in call.clients]
    parts: list[list[int]] = [[] for _ in range(count)]
    loads = [0] * count
    for place in sorted(range(len(size)), key=lambda place: (-size[place], place)):
        least = loads.index(min(loads))
        parts[least].append(place)
        loads[least] += size[place]
    return [sorted(part) for part in parts if part]
