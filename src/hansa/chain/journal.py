"""The embedded chain's write-ahead journal: every transaction and every block is on disk before the node hears of it.

A journal is a row of segments `journal-<block>`, one per checkpoint. A record is u32 length, u32 CRC-32, then a `Batch` as MessagePack;
one flush covers all that waited. A torn last record was never acknowledged to anyone and is cut off.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hansa.core.errors import LedgerError, StorageError

_MAX_RECORD = 64 << 20


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Transactions given to the node in this order and the block then mined; `parent` is the block hash they stand on.

    Number zero carries waiting transactions over a checkpoint and mines nothing.
    """

    number: int
    timestamp: int
    parent: bytes
    transactions: tuple[bytes, ...]


class ChainJournal:
    """Append-only, in one folder, by one process; all methods are short and blocking."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        self._length = 0
        self.base = -1

    def segments(self) -> list[int]:
        """Block numbers at which segments begin, ascending."""
        return sorted(int(path.name.removeprefix("journal-")) for path in self._folder.glob("journal-*"))

    def replay(self, first: int) -> Iterator[Batch]:
        """Batches of all segments from `first` on; LedgerError when a record that was once flushed is damaged."""
        wanted = [base for base in self.segments() if base >= first]
        for base in wanted:
            path = self._folder / f"journal-{base}"
            data = path.read_bytes()
            batches, good = _parse(data, path)
            yield from batches
            if good < len(data):
                if base != wanted[-1]:
                    raise LedgerError(f"the chain's journal {path} ends in a damaged record; restore it from a copy")
                os.truncate(path, good)

    def begin(self, base: int) -> None:
        """Append to the segment that begins at block `base`, creating it if need be."""
        file = os.open(self._folder / f"journal-{base}", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.close()
        self._file, self._length, self.base = file, os.fstat(file).st_size, base
        sync_folder(self._folder)

    def append(self, batch: Batch) -> None:
        """Write and flush one batch; StorageError when the disk refuses, and then the segment is as it was."""
        body = msgspec.msgpack.encode(batch)
        record = memoryview(len(body).to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little") + body)
        try:
            written = 0
            while written < len(record):
                written += os.write(self._file, record[written:])
            os.fdatasync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._length)
            raise StorageError(
                f"the chain cannot write its journal in {self._folder} ({error.strerror}): nothing was accepted; free space and send again"
            ) from error
        self._length += len(record)

    def drop_before(self, base: int) -> None:
        """Delete segments that every kept checkpoint already contains."""
        for old in self.segments():
            if old < base:
                (self._folder / f"journal-{old}").unlink()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def sync_folder(folder: Path) -> None:
    """Make names in a folder as durable as their contents."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _parse(data: bytes, path: Path) -> tuple[list[Batch], int]:
    """Whole records and the offset after the last of them; what follows is a torn tail, or LedgerError when it cannot be one."""
    batches: list[Batch] = []
    offset = 0
    while offset + 8 <= len(data):
        length, checksum = int.from_bytes(data[offset : offset + 4], "little"), int.from_bytes(data[offset + 4 : offset + 8], "little")
        end = offset + 8 + length
        body = data[offset + 8 : end]
        if end > len(data) or not length:
            break
        if length > _MAX_RECORD or zlib.crc32(body) != checksum:
            if end < len(data):  # records follow: this one was flushed before them, so it is no torn tail
                raise LedgerError(f"the chain's journal {path} is damaged at byte {offset}; restore it from a copy")
            break
        batches.append(msgspec.msgpack.decode(body, type=Batch))
        offset = end
    return batches, offset
