"""A simulation's folder: the state after its last whole round and the records of all rounds, from which an interrupted run goes on.

The state is replaced as one file, after everything it refers to is on disk; records of rounds beyond it are dropped when it is taken up.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from hansa.core.errors import ConfigError
from hansa.learning.strategy import ServerState
from hansa.model.layout import Layout
from hansa.model.state import ModelState
from hansa.simulation.records import Record

_STATE, _RECORDS, _KEPT = "state.npz", "records.jsonl", "kept"


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`subject` is what the run is of, `executor` what was chosen for it: another would round differently."""

    round: int
    subject: str
    executor: str


@dataclass(frozen=True, eq=False, slots=True)
class State:
    """Where a run stands after `round` rounds; `previous` is the last mean update (d',), which attackers look at."""

    round: int
    executor: str
    model: ModelState
    server: ServerState
    previous: NDArray[np.float64]


class Checkpoint:
    """The folder of one run; `subject` (a digest of what is simulated) must be the same when it is taken up again."""

    def __init__(self, folder: Path, subject: str) -> None:
        self.folder, self._subject = folder, subject
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder} cannot hold a simulation ({error.strerror}); name a folder that can be written") from error

    @property
    def kept(self) -> Path:
        return self.folder / _KEPT

    @property
    def begun(self) -> bool:
        return (self.folder / _STATE).exists()

    def append(self, record: Record) -> None:
        with (self.folder / _RECORDS).open("ab") as file:
            file.write(msgspec.json.encode(record) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def save(self, state: State) -> None:
        """Make `state` what the run resumes from; all or nothing."""
        aside = self.folder / f".{_STATE}"
        head = msgspec.json.encode(_Head(state.round, self._subject, state.executor))
        arrays: dict[str, NDArray[np.generic]] = {f"server{number}": vector for number, vector in enumerate(state.server)}
        with aside.open("wb") as file:
            np.savez(file, head=np.frombuffer(head, np.uint8), model=state.model.vector, previous=state.previous, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.folder / _STATE)

    def load(self, layout: Layout) -> tuple[State, list[Record]]:
        """State and records as they were after the last whole round; ConfigError when the folder holds another run, or none."""
        path = self.folder / _STATE
        if not self.begun:
            raise ConfigError(f"{self.folder} holds no simulation to resume; start one there first")
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                head = msgspec.json.decode(file["head"].tobytes(), type=_Head)
                if head.subject != self._subject:
                    raise ConfigError(f"{self.folder} holds a run of another scenario; resume it with its own, or name another folder")
                server = tuple(file[f"server{number}"] for number in range(len(file.files) - 3))
                state = State(head.round, head.executor, ModelState(layout, file["model"]), server, file["previous"])
        except (ValueError, EOFError, KeyError, zipfile.BadZipFile, msgspec.DecodeError) as error:
            raise ConfigError(f"{path} is not a simulation's state ({error}); start afresh in another folder") from error
        return state, self._records(state.round)

    def _records(self, round: int) -> list[Record]:
        path = self.folder / _RECORDS
        lines = path.read_bytes().splitlines() if path.exists() else []
        try:
            # A line that was being written when the run was killed is beyond the last state.
            records = [msgspec.json.decode(line, type=Record) for line in lines[:round]]
        except msgspec.DecodeError as error:
            raise ConfigError(f"{path} is not a simulation's records ({error}); start afresh in another folder") from error
        if [record.round for record in records] != list(range(1, round + 1)):
            raise ConfigError(f"{path} lacks rounds before {round}; start afresh in another folder")
        aside = self.folder / f".{_RECORDS}"
        aside.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
        aside.replace(path)
        return records
