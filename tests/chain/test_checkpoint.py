"""Checkpoints: two generations, atomic, the newest undamaged one counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hansa.chain.checkpoint import Checkpoint, Checkpoints


def made(number: int) -> Checkpoint:
    return Checkpoint(number, bytes([number]) * 32, 1000 + number, b"state" * number)


def test_two_generations_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.newest() is None
    assert [checkpoints.write(made(number)) for number in (3, 7, 9)] == [0, 3, 7]
    assert checkpoints.kept() == [9, 7]
    assert checkpoints.newest() == made(9)


@pytest.mark.parametrize("damage", [b"", b"\0" * 40])
def test_a_damaged_one_is_passed_over(tmp_path: Path, damage: bytes) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(made(3))
    checkpoints.write(made(7))
    (tmp_path / "checkpoint-7").write_bytes(damage)
    assert checkpoints.newest() == made(3)
    (tmp_path / "checkpoint-3").write_bytes(damage)
    assert checkpoints.newest() is None


def test_what_a_crash_left_half_written_is_not_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(made(3))
    (tmp_path / "checkpoint.tmp").write_bytes(b"half")
    assert (checkpoints.kept(), checkpoints.newest()) == ([3], made(3))


def test_a_full_disk_leaves_the_older_ones(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(made(3))
    (tmp_path / "checkpoint.tmp").mkdir()  # nothing can be written there
    with pytest.raises(OSError):
        checkpoints.write(made(7))
    assert checkpoints.newest() == made(3)
