"""The journal: an append-only record that survives `kill -9`, in SQLite, and its twin in memory."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from hansa.core.errors import StorageError
from hansa.core.ports import Entry

_PAGE = 64
"""Entries fetched at a time while reading: bounds memory and lets appends go on between."""


class SqliteJournal:
    """A journal in one SQLite file, held by one process at a time; every append is on disk before it returns.

    Write-ahead log with synchronous=FULL: each commit is fsynced. The file is locked exclusively for as long as the journal is open,
    and the kernel drops the lock with the process, so a `kill -9` leaves nothing to clean up.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # A journal may hold keys and unsent updates: its owner alone reads it, and SQLite gives its log the same rights.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._database = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"cannot open the journal {path}: {error}; check that the folder exists and may be written") from error
        try:
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS entries (sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, record BLOB NOT NULL)"
            )
            # Taking a write lock once makes the exclusive mode hold from here on, also when the table was there already.
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("COMMIT")
            count, last = self._database.execute("SELECT count(*), coalesce(max(sequence), 0) FROM entries").fetchone()
        except sqlite3.Error as error:
            self._database.close()
            raise StorageError(_opening(path, error)) from error
        if count != last:
            self._database.close()
            raise StorageError(f"the journal {path} has gaps ({count} entries, last {last}); restore it from a copy")
        self._last: int = last

    def append(self, kind: str, record: bytes) -> int:
        """Add one entry durably and return its sequence; StorageError when it cannot be written, and then nothing was added."""
        return self.append_all([(kind, record)])

    def append_all(self, records: Iterable[tuple[str, bytes]]) -> int:
        """Add several entries in one transaction, all or none; returns the last sequence."""
        with self._lock:
            self._check_open()
            rows = [(self._last + place, kind, record) for place, (kind, record) in enumerate(records, start=1)]
            try:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise StorageError(
                    f"the journal {self._path} cannot be written ({error}); make room on its disk, nothing was added"
                ) from error
            self._last += len(rows)
            return self._last

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Entries with sequence > after, in order; those appended while reading are included."""
        while True:
            with self._lock:
                self._check_open()
                try:
                    page = self._database.execute(
                        "SELECT sequence, kind, record FROM entries WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, _PAGE)
                    ).fetchall()
                except sqlite3.Error as error:
                    raise StorageError(f"the journal {self._path} cannot be read ({error}); restore it from a copy") from error
            if not page:
                return
            for row in page:
                yield Entry(*row)
            after = page[-1][0]

    def close(self) -> None:
        """Release the file; a second close does nothing."""
        with self._lock:
            self._closed = True
            self._database.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError(f"the journal {self._path} is closed")


def _opening(path: Path, error: sqlite3.Error) -> str:
    if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"the journal {path} is held by another running process; stop that one or choose another home"
    return f"cannot use the journal {path}: {error}; if it is damaged, restore it from a copy"


class MemoryJournal:
    """A journal in a list; hand the same list to a new one to play a restart. `capacity` in bytes plays a full disk."""

    def __init__(self, entries: list[Entry] | None = None, *, capacity: int | None = None) -> None:
        self._entries = [] if entries is None else entries
        self._capacity = capacity
        self._closed = False

    def append(self, kind: str, record: bytes) -> int:
        """Add one entry and return its sequence; StorageError when there is no room, and then nothing was added."""
        return self.append_all([(kind, record)])

    def append_all(self, records: Iterable[tuple[str, bytes]]) -> int:
        """Add several entries, all or none; returns the last sequence."""
        self._check_open()
        last = len(self._entries)
        added = [Entry(last + place, kind, bytes(record)) for place, (kind, record) in enumerate(records, start=1)]
        if self._capacity is not None and sum(len(entry.record) for entry in (*self._entries, *added)) > self._capacity:
            raise StorageError("the journal in memory cannot be written (full); make room, nothing was added")
        self._entries.extend(added)
        return len(self._entries)

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Entries with sequence > after, in order; those appended while reading are included."""
        self._check_open()
        while after < len(self._entries):
            yield self._entries[after]
            after += 1

    def close(self) -> None:
        """Refuse further use; the entries stay in the list."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError("the journal in memory is closed")
