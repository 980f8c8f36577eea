"""What clients keep between their rounds (control variates, error feedback): in memory up to a limit, the rest in one file a round.

A file is never changed once written, so a crash cannot tear what an earlier checkpoint refers to. It is a JSON head (its length first, u64
little-endian), then one row of float32 per client.
"""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import ConfigError, ProtocolError
from hansa.simulation.work import Kept

MEMORY = 256 << 20
"""Bytes of kept vectors that stay in memory."""


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose rows follow, and into vectors of which lengths each is cut: the strategy's, then the compression's."""

    clients: tuple[int, ...]
    strategy: tuple[int, ...]
    compression: tuple[int, ...]

    @property
    def width(self) -> int:
        return sum(self.strategy) + sum(self.compression)


@dataclass(eq=False, slots=True)
class _Page:
    """One round's rows; `path` once they are in a file, `matrix` while they are in memory; `live` clients have nothing newer."""

    head: _Head
    offset: int = 0
    path: Path | None = None
    matrix: NDArray[np.float32] | None = None
    live: int = 0


class KeptStore:
    """The newest of what each client keeps. `folder` makes every round a file of it; without one only what exceeds `memory` bytes is."""

    def __init__(self, folder: Path | None = None, memory: int = MEMORY) -> None:
        self._folder, self._memory = folder, memory
        self._pages: OrderedDict[int, _Page] = OrderedDict()
        self._newest: dict[int, tuple[int, int]] = {}
        self._spill: tempfile.TemporaryDirectory[str] | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def __len__(self) -> int:
        """Number of clients that keep something."""
        return len(self._newest)

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return sum(page.matrix.nbytes for page in self._pages.values() if page.matrix is not None)

    def select(self, clients: Iterable[int]) -> dict[int, Kept]:
        """What those of the clients keep that keep something."""
        return {client: self._read(*self._newest[client]) for client in clients if client in self._newest}

    def put(self, round: int, kept: dict[int, Kept]) -> None:
        """What clients keep after a round, higher than any before."""
        if not kept:
            return
        sample = next(iter(kept.values()))
        head = _Head(tuple(kept), tuple(len(vector) for vector in sample[0]), tuple(len(vector) for vector in sample[1]))
        matrix = np.empty((len(kept), head.width), np.float32)
        for row, (strategy, compression) in zip(matrix, kept.values(), strict=True):
            np.concatenate([*strategy, *compression], out=row)
        page = _Page(head, matrix=matrix)
        self._enter(round, page)
        if self._folder is not None:
            self._write(self._folder, round, page)
        for number, old in self._pages.items():
            if self.held <= self._memory:
                break
            if old.path is None:
                self._spill = self._spill or tempfile.TemporaryDirectory(prefix="hansa-kept-")
                self._write(Path(self._spill.name), number, old)
            old.matrix = None

    def sweep(self) -> None:
        """Forget the rounds of which every client has something newer; call once nothing refers to an earlier state any more."""
        for round in [number for number, page in self._pages.items() if not page.live]:
            page = self._pages.pop(round)
            if page.path is not None:
                page.path.unlink(missing_ok=True)

    def recover(self, round: int) -> None:
        """Take up the folder's files as they were after `round`; later ones are removed."""
        if self._folder is None:
            raise ProtocolError("a store without a folder has nothing to recover")
        for path in sorted(self._folder.glob("kept-*.bin")):
            number = int(path.stem.removeprefix("kept-"))
            if number > round:
                path.unlink()
                continue
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                try:
                    head = msgspec.json.decode(file.read(min(length, path.stat().st_size)), type=_Head)
                except msgspec.DecodeError as error:
                    raise ConfigError(f"{path} is not what a simulation kept ({error}); start afresh in another folder") from error
            if path.stat().st_size != 8 + length + 4 * len(head.clients) * head.width:
                raise ConfigError(f"{path} is cut short; start afresh in another folder")
            self._enter(number, _Page(head, 8 + length, path))
        self.sweep()

    def close(self) -> None:
        """Remove what was spilled without a folder."""
        if self._spill is not None:
            self._spill.cleanup()

    def _enter(self, round: int, page: _Page) -> None:
        for row, client in enumerate(page.head.clients):
            if client in self._newest:
                self._pages[self._newest[client][0]].live -= 1
            self._newest[client] = (round, row)
        page.live = len(page.head.clients)
        self._pages[round] = page
        if self._folder is None:
            self.sweep()

    def _write(self, folder: Path, round: int, page: _Page) -> None:
        if page.matrix is None:
            raise ProtocolError("a round's rows are neither in memory nor in a file")
        head = msgspec.json.encode(page.head)
        page.path, page.offset = folder / f"kept-{round:08}.bin", 8 + len(head)
        with page.path.open("wb") as file:
            file.write(len(head).to_bytes(8, "little") + head)
            file.write(page.matrix.astype("<f4", copy=False).data)
            file.flush()
            os.fsync(file.fileno())

    def _read(self, round: int, row: int) -> Kept:
        page = self._pages[round]
        if page.matrix is not None:
            values = page.matrix[row]
        elif page.path is not None:
            place = page.offset + 4 * row * page.head.width
            values = np.fromfile(page.path, "<f4", page.head.width, offset=place).astype(np.float32, copy=False)
        else:
            raise ProtocolError("a round's rows are neither in memory nor in a file")
        pieces = np.split(values, np.cumsum([*page.head.strategy, *page.head.compression])[:-1])
        return tuple(pieces[: len(page.head.strategy)]), tuple(pieces[len(page.head.strategy) :])
