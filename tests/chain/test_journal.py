"""The embedded chain's journal: what was flushed comes back, torn tails are cut, damage is said, a refusing disk changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.chain.journal import Batch, ChainJournal
from hansa.core.errors import LedgerError, StorageError

BATCHES = [Batch(number, 1000 + number, bytes([number]) * 32, (b"tx" * number, b"")) for number in range(1, 5)]


def written(folder: Path, base: int = 0) -> ChainJournal:
    journal = ChainJournal(folder)
    journal.begin(base)
    for batch in BATCHES:
        journal.append(batch)
    return journal


def test_what_was_appended_comes_back_over_segments(tmp_path: Path) -> None:
    journal = written(tmp_path)
    journal.begin(4)
    journal.append(BATCHES[0])
    journal.close()
    again = ChainJournal(tmp_path)
    assert again.segments() == [0, 4]
    assert list(again.replay(0)) == [*BATCHES, BATCHES[0]]
    assert list(again.replay(4)) == [BATCHES[0]]
    again.drop_before(4)
    assert again.segments() == [4]


def test_a_reopened_segment_goes_on_at_its_end(tmp_path: Path) -> None:
    written(tmp_path).close()
    journal = ChainJournal(tmp_path)
    journal.begin(0)
    journal.append(BATCHES[0])
    journal.close()
    assert list(journal.replay(0)) == [*BATCHES, BATCHES[0]]


@given(st.integers(0, 200))
def test_a_torn_tail_is_cut_off_and_writing_goes_on(tmp_path_factory: pytest.TempPathFactory, missing: int) -> None:
    folder = tmp_path_factory.mktemp("torn")
    written(folder).close()
    path = folder / "journal-0"
    size = path.stat().st_size
    os.truncate(path, max(size - missing, 0))
    journal = ChainJournal(folder)
    kept = list(journal.replay(0))
    assert kept == BATCHES[: len(kept)] and (missing > 0 or len(kept) == 4)
    journal.begin(0)
    journal.append(BATCHES[3])
    journal.close()
    assert list(journal.replay(0)) == [*kept, BATCHES[3]]


def test_a_tail_of_zeros_is_torn_too(tmp_path: Path) -> None:
    written(tmp_path).close()
    with (tmp_path / "journal-0").open("ab") as file:
        file.write(bytes(500))
    assert list(ChainJournal(tmp_path).replay(0)) == BATCHES


def test_damage_before_the_end_is_said_not_cut(tmp_path: Path) -> None:
    written(tmp_path).close()
    path = tmp_path / "journal-0"
    data = bytearray(path.read_bytes())
    data[12] ^= 1
    path.write_bytes(data)
    with pytest.raises(LedgerError, match="damaged at byte 0"):
        list(ChainJournal(tmp_path).replay(0))
    assert path.stat().st_size == len(data)


def test_a_torn_segment_that_others_follow_is_damage(tmp_path: Path) -> None:
    journal = written(tmp_path)
    journal.begin(4)
    journal.close()
    os.truncate(tmp_path / "journal-0", 150)
    with pytest.raises(LedgerError, match="ends in a damaged record"):
        list(ChainJournal(tmp_path).replay(0))


def test_a_disk_that_refuses_half_way_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = written(tmp_path)
    size = (tmp_path / "journal-0").stat().st_size
    real = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) > 30:
            return real(file, data[:20])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StorageError, match="No space left on device.*nothing was accepted"):
            journal.append(BATCHES[3])
    assert (tmp_path / "journal-0").stat().st_size == size
    journal.append(BATCHES[0])
    journal.close()
    assert list(journal.replay(0)) == [*BATCHES, BATCHES[0]]
