"""What clients keep: the newest wins, memory is bounded, and files are as a checkpoint left them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hansa.core.errors import ConfigError, ProtocolError
from hansa.simulation.kept import KeptStore
from hansa.simulation.work import Kept


def value(client: int, round: int) -> Kept:
    return (np.full(50, client, np.float32), np.full(3, round, np.float32)), (np.full(4, client + round, np.float32),)


def same(found: dict[int, Kept], expected: dict[int, tuple[int, int]]) -> bool:
    return found.keys() == expected.keys() and all(
        all(np.array_equal(a, b) for a, b in zip([*found[client][0], *found[client][1]], [*value(*at)[0], *value(*at)[1]], strict=True))
        for client, at in expected.items()
    )


@pytest.mark.parametrize("memory", [1 << 20, 600, 0])
@pytest.mark.parametrize("named", [True, False])
def test_the_newest_is_found_wherever_it_is(tmp_path: Path, memory: int, named: bool) -> None:
    store = KeptStore(tmp_path if named else None, memory)
    for round, clients in enumerate([(1, 2, 3), (2, 9), (3, 2), (7,)], 1):
        store.put(round, {client: value(client, round) for client in clients})
        assert store.held <= memory
    assert same(store.select([1, 2, 3, 4, 7, 9]), {1: (1, 1), 2: (2, 3), 3: (3, 3), 7: (7, 4), 9: (9, 2)}) and len(store) == 5
    store.close()


def test_rounds_that_all_have_newer_values_go(tmp_path: Path) -> None:
    store = KeptStore(tmp_path)
    store.put(1, {1: value(1, 1), 2: value(2, 1)})
    store.put(2, {1: value(1, 2)})
    store.sweep()
    assert len(list(tmp_path.iterdir())) == 2
    store.put(3, {2: value(2, 3)})
    assert len(list(tmp_path.iterdir())) == 3, "an earlier checkpoint may still refer to it"
    store.sweep()
    assert len(list(tmp_path.iterdir())) == 2 and same(store.select([1, 2]), {1: (1, 2), 2: (2, 3)})


def test_a_run_that_was_killed_finds_what_its_checkpoint_knew(tmp_path: Path) -> None:
    store = KeptStore(tmp_path)
    for round in (1, 2, 3):
        store.put(round, {round: value(round, round), 8: value(8, round)})
    again = KeptStore(tmp_path)
    again.recover(2)
    assert same(again.select([1, 2, 3, 8]), {1: (1, 1), 2: (2, 2), 8: (8, 2)})
    assert not (tmp_path / "kept-00000003.bin").exists()


def test_a_file_that_is_cut_short_or_foreign_is_refused(tmp_path: Path) -> None:
    KeptStore(tmp_path).put(1, {1: value(1, 1)})
    path = tmp_path / "kept-00000001.bin"
    whole = path.read_bytes()
    for wrong, sentence in ((whole[:-1], "cut short"), (b"\xff" * 40, "is not what a simulation kept")):
        path.write_bytes(wrong)
        with pytest.raises(ConfigError, match=sentence):
            KeptStore(tmp_path).recover(1)
    with pytest.raises(ProtocolError):
        KeptStore().recover(1)
