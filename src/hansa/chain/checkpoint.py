"""Checkpoints of the embedded chain: the node's whole state at one block, written atomically, two generations kept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from hansa.chain.journal import sync_folder

_GENERATIONS = 2


class Checkpoint(msgspec.Struct, frozen=True):
    """The node's dump (gzip of JSON) and the block it ends with."""

    number: int
    hash: bytes
    timestamp: int
    state: bytes


class Checkpoints:
    """A folder of files `checkpoint-<block>`: 32 bytes of SHA-256, then the checkpoint as MessagePack."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def kept(self) -> list[int]:
        """Block numbers with a file, newest first."""
        names = (path.name.removeprefix("checkpoint-") for path in self._folder.glob("checkpoint-*"))
        return sorted((int(name) for name in names if name.isdigit()), reverse=True)

    def newest(self) -> Checkpoint | None:
        """The newest undamaged one; None when the chain must be replayed from genesis."""
        for number in self.kept():
            data = (self._folder / f"checkpoint-{number}").read_bytes()
            if hashlib.sha256(data[32:]).digest() == data[:32]:
                return msgspec.msgpack.decode(data[32:], type=Checkpoint)
        return None

    def write(self, checkpoint: Checkpoint) -> int:
        """Store durably, drop older generations; returns the block from which journal segments are still needed."""
        body = msgspec.msgpack.encode(checkpoint)
        temporary = self._folder / "checkpoint.tmp"
        try:
            with temporary.open("wb") as file:
                file.write(hashlib.sha256(body).digest())
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        temporary.replace(self._folder / f"checkpoint-{checkpoint.number}")
        sync_folder(self._folder)
        for old in self.kept()[_GENERATIONS:]:
            (self._folder / f"checkpoint-{old}").unlink()
        # While only one generation exists, genesis with the whole journal is the other.
        return min(self.kept()) if len(self.kept()) == _GENERATIONS else 0
