"""The laws of `Journal`, over SQLite and memory; crashes and held files over SQLite alone, where they are real."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hansa.core.errors import StorageError
from hansa.core.ports import Entry, Journal
from hansa.runtime.journal import MemoryJournal, SqliteJournal

Open = Callable[[], Journal]


@pytest.fixture(params=["sqlite", "memory"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same journal every time it is called."""
    if request.param == "sqlite":
        return lambda: SqliteJournal(tmp_path / "home" / "journal.db")
    shelf: list[Entry] = []
    return lambda: MemoryJournal(shelf)


def test_sequence_starts_at_one_and_has_no_gaps(reopen: Open) -> None:
    journal = reopen()
    assert [journal.append("sent", bytes([n])) for n in range(5)] == [1, 2, 3, 4, 5]
    assert [tuple(entry) for entry in journal.read()] == [(n + 1, "sent", bytes([n])) for n in range(5)]
    journal.close()


def test_read_begins_after_the_given_sequence(reopen: Open) -> None:
    journal = reopen()
    journal.append_all([("a", b"1"), ("b", b"2"), ("c", b"3")])
    assert [entry.kind for entry in journal.read(after=1)] == ["b", "c"]
    assert list(journal.read(after=3)) == []
    journal.close()


def test_what_was_appended_is_there_after_reopening(reopen: Open) -> None:
    first = reopen()
    first.append("key", b"\x00\xff" * 10)
    first.close()
    second = reopen()
    assert second.append("key", b"") == 2
    assert [entry.record for entry in second.read()] == [b"\x00\xff" * 10, b""]
    second.close()


def test_append_all_of_nothing_changes_nothing(reopen: Open) -> None:
    journal = reopen()
    journal.append("a", b"1")
    assert journal.append_all([]) == 1
    assert len(list(journal.read())) == 1
    journal.close()


def test_append_all_that_fails_in_the_middle_adds_nothing(reopen: Open) -> None:
    journal = reopen()
    journal.append("a", b"1")

    def records() -> list[tuple[str, bytes]]:
        raise RuntimeError("the maker failed")

    with pytest.raises(RuntimeError):
        journal.append_all(row for row in [*[("b", b"2")] * 3, *records()])
    assert journal.append("c", b"3") == 2
    assert [entry.kind for entry in journal.read()] == ["a", "c"]
    journal.close()


def test_reading_while_appending_sees_the_new_entries(reopen: Open) -> None:
    journal = reopen()
    journal.append_all([("a", bytes([n])) for n in range(100)])
    seen = 0
    for entry in journal.read():
        seen += 1
        if entry.sequence == 50:
            journal.append("late", b"")
    assert seen == 101
    journal.close()


def test_a_closed_journal_refuses(reopen: Open) -> None:
    journal = reopen()
    journal.append("a", b"1")
    journal.close()
    journal.close()
    with pytest.raises(StorageError, match="closed"):
        journal.append("b", b"2")
    with pytest.raises(StorageError, match="closed"):
        list(journal.read())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=64)), max_size=5), max_size=8))
def test_a_journal_is_the_list_of_its_batches(tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, bytes]]]) -> None:
    path = tmp_path_factory.mktemp("model") / "journal.db"
    twin = MemoryJournal()
    for batch in batches:
        journal = SqliteJournal(path)
        assert journal.append_all(batch) == twin.append_all(batch)
        journal.close()
    journal = SqliteJournal(path)
    assert list(journal.read()) == list(twin.read())
    journal.close()


def test_memory_without_room_refuses_and_keeps_the_rest() -> None:
    journal = MemoryJournal(capacity=10)
    journal.append("a", bytes(6))
    with pytest.raises(StorageError, match="full"):
        journal.append_all([("b", b"1"), ("c", bytes(6))])
    assert journal.append("d", bytes(4)) == 2


_FULL = """
import resource, signal, sys
from pathlib import Path
from hansa.core.errors import StorageError
from hansa.runtime.journal import SqliteJournal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = SqliteJournal(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, resource.RLIM_INFINITY))
added = 0
try:
    for _ in range(100):
        added = journal.append_all([("a", bytes(10_000)), ("b", bytes(10_000))])
except StorageError as error:
    assert "nothing was added" in str(error) and "\\n" not in str(error), error
else:
    sys.exit("the disk was never full")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert journal.append("room again", b"") == added + 1
assert [entry.sequence for entry in journal.read()] == list(range(1, added + 2))
print(added + 1)
"""


def test_a_disk_without_room_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    """The kernel refuses the write in the middle of a transaction (a file size limit); afterwards the journal goes on."""
    path = tmp_path / "journal.db"
    done = subprocess.run([sys.executable, "-c", _FULL, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    journal = SqliteJournal(path)
    assert len(list(journal.read())) == int(done.stdout) >= 3
    journal.close()


_WRITER = """
import sys
from pathlib import Path
from hansa.runtime.journal import SqliteJournal

journal = SqliteJournal(Path(sys.argv[1]))
number = sum(1 for _ in journal.read())
while True:
    batch = [("batch", str(number + place).encode() * 50) for place in range(1, 4)]
    number = journal.append_all(batch)
    print(number, flush=True)
"""


def test_kill_9_in_the_middle_of_appends_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for acknowledgements in (1, 7, 20):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        last = 0
        for _ in range(acknowledgements):
            last = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().split()
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL
        last = max([last, *map(int, rest)])
        journal = SqliteJournal(path)
        entries = list(journal.read())
        journal.close()
        assert len(entries) >= last
        assert len(entries) % 3 == 0, "half a batch became visible"
        assert entries == [Entry(n, "batch", str(n).encode() * 50) for n in range(1, len(entries) + 1)]


def test_a_journal_held_by_a_living_process_is_refused_and_free_after_its_death(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    writer.stdout.readline()
    with pytest.raises(StorageError, match="held by another running process"):
        SqliteJournal(path)
    writer.kill()
    writer.wait()
    writer.stdout.close()
    SqliteJournal(path).close()


def test_two_in_one_process_are_refused_too(tmp_path: Path) -> None:
    first = SqliteJournal(tmp_path / "journal.db")
    with pytest.raises(StorageError, match="held by another"):
        SqliteJournal(tmp_path / "journal.db")
    assert first.append("a", b"") == 1
    first.close()


def test_only_its_owner_may_read_a_journal(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.append("key", b"secret")
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    journal.close()


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StorageError, match="restore it"):
        SqliteJournal(path)
    assert path.read_bytes() == b"not a database" * 100


def test_a_journal_with_a_gap_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    journal.append_all([("a", b"1"), ("b", b"2"), ("c", b"3")])
    journal.close()
    database = sqlite3.connect(path)
    database.execute("DELETE FROM entries WHERE sequence = 2")
    database.commit()
    database.close()
    with pytest.raises(StorageError, match="gaps"):
        SqliteJournal(path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="check that the folder"):
        SqliteJournal(tmp_path / "file" / "journal.db")
