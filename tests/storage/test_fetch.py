"""Fetching from honest, lying, silent and half-stocked holders; resuming after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hansa.core.errors import BlobUnavailable, FormatError, StorageError, TransportError
from hansa.core.types import BlobRef
from hansa.storage import fetch as fetching
from hansa.storage import unixfs
from hansa.storage.fetch import Fetched, Source, StoreSource, fetch, obtain
from hansa.storage.memory import MemoryStore
from hansa.storage.unixfs import LEAF

DATA = b"".join(bytes([n]) * LEAF for n in range(7)) + b"the end"
REF = unixfs.root(DATA)
COUNT = 8


class Holder:
    """A holder of DATA that keeps count and may misbehave."""

    def __init__(self, name: str, data: bytes = DATA, *, dies_after: int = 1 << 30, outline: bytes | None = None) -> None:
        self.name = name
        self.data = data
        self.asked: list[int] = []
        self.most_at_once = 0
        self._at_once = 0
        self._dies_after = dies_after
        self._outline = outline

    async def read(self, offset: int, length: int) -> bytes:
        self.asked.append(offset // LEAF)
        if len(self.asked) > self._dies_after:
            raise TransportError(f"{self.name} is gone")
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        self._at_once -= 1
        return self.data[offset : offset + length]

    async def outline(self) -> bytes:
        return unixfs.outline(DATA) if self._outline is None else self._outline


class Liar(Holder):
    async def read(self, offset: int, length: int) -> bytes:
        return bytes(byte ^ 255 for byte in (await super().read(offset, length))[:1]) + self.data[offset + 1 : offset + length]


class Silent(Holder):
    async def read(self, offset: int, length: int) -> bytes:
        self.asked.append(offset // LEAF)
        await asyncio.Event().wait()
        raise AssertionError("nobody sets this event")


def get(sources: Sequence[Source], directory: Path, ref: BlobRef = REF, **options: float) -> Fetched:
    """With a clock that stands still all holders are equally quick and are asked in turn."""
    return asyncio.run(fetch(ref, sources, directory, timer=lambda: 0.0, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [b"", b"a", bytes(LEAF), bytes(LEAF + 1), DATA], ids=["empty", "one", "leaf", "leaf+1", "eight leaves"])
def test_a_blob_arrives_whole_under_its_cid(data: bytes, tmp_path: Path) -> None:
    async def run() -> None:
        store = MemoryStore()
        ref = await store.put(data)
        result = await fetch(ref, [StoreSource("only", store, ref)], tmp_path)
        assert result.path == tmp_path / unixfs.text(ref) and result.path.read_bytes() == data
        assert result.liars == () and list(tmp_path.iterdir()) == [result.path]

    asyncio.run(run())


def test_all_holders_help_and_no_more_leaves_are_under_way_than_allowed(tmp_path: Path) -> None:
    holders = [Holder("a"), Holder("b")]
    assert get(holders, tmp_path, parallel=3).path.read_bytes() == DATA
    assert sorted(holders[0].asked + holders[1].asked) == list(range(COUNT))
    assert holders[0].asked and holders[1].asked
    assert sum(holder.most_at_once for holder in holders) <= 3


def test_a_liar_is_named_and_asked_no_more(tmp_path: Path) -> None:
    liar, honest = Liar("liar"), Holder("honest")
    result = get([liar, honest], tmp_path, parallel=1)
    assert result.path.read_bytes() == DATA
    assert result.liars == ("liar",) and len(liar.asked) == 1


def test_a_false_outline_is_a_lie_too(tmp_path: Path) -> None:
    other = bytes(32 * COUNT)
    result = get([Holder("liar", outline=other), Holder("honest")], tmp_path)
    assert result.path.read_bytes() == DATA and result.liars == ("liar",)


def test_an_outline_of_another_length_is_not_accepted(tmp_path: Path) -> None:
    with pytest.raises(BlobUnavailable, match="outline of blob .* cannot be had: short did not answer"):
        get([Holder("short", outline=b"\0" * 31)], tmp_path)


def test_without_an_honest_holder_what_is_missing_is_told_and_what_came_is_kept(tmp_path: Path) -> None:
    dying, liar = Holder("dying", dies_after=5), Liar("liar")
    with pytest.raises(BlobUnavailable, match="3 of 8 leaves .* are missing: liar sent wrong bytes; dying did not answer") as caught:
        get([dying, liar], tmp_path, parallel=1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / unixfs.text(REF)).exists()
    second = Holder("second")
    result = get([second], tmp_path)
    assert (result.resumed, result.fetched) == (5, 3) and len(second.asked) == 3
    assert result.path.read_bytes() == DATA


def test_a_part_file_is_believed_leaf_by_leaf_only_as_far_as_it_hashes(tmp_path: Path) -> None:
    part = tmp_path / (unixfs.text(REF) + ".part")
    spoilt = bytearray(DATA)
    spoilt[2 * LEAF + 5] ^= 1
    spoilt[5 * LEAF] ^= 1
    part.write_bytes(spoilt + b"more than there should be")
    holder = Holder("a")
    assert get([holder], tmp_path).path.read_bytes() == DATA
    assert sorted(holder.asked) == [2, 5]


def test_a_finished_file_is_checked_and_mended(tmp_path: Path) -> None:
    path = get([Holder("a")], tmp_path).path
    assert get([holder := Holder("b")], tmp_path).resumed == COUNT and holder.asked == []
    spoilt = bytearray(DATA)
    spoilt[-1] ^= 1
    path.write_bytes(spoilt)
    assert get([holder], tmp_path).path.read_bytes() == DATA and holder.asked == [7]


def test_a_silent_holder_costs_its_strikes_and_no_more(tmp_path: Path) -> None:
    silent, good = Silent("silent"), Holder("good")
    result = get([silent, good], tmp_path, parallel=1, timeout=0.02)
    assert result.path.read_bytes() == DATA and result.liars == ()
    assert 1 <= len(silent.asked) <= fetching.STRIKES


def test_only_silence_is_no_lie(tmp_path: Path) -> None:
    silent = Silent("silent")
    with pytest.raises(BlobUnavailable, match="silent did not answer"):
        get([silent], tmp_path, parallel=1, timeout=0.01)
    assert len(silent.asked) == fetching.STRIKES


def test_a_slow_holder_is_asked_less(tmp_path: Path) -> None:
    """Time is injected: the slow one's answers take ten seconds each, the quick one's one."""
    now = 0.0

    class Timed(Holder):
        async def read(self, offset: int, length: int) -> bytes:
            nonlocal now
            now += 10.0 if self.name == "slow" else 1.0
            return await super().read(offset, length)

    slow, quick = Timed("slow"), Timed("quick")
    asyncio.run(fetch(REF, [slow, quick], tmp_path, parallel=1, timer=lambda: now))
    assert (len(slow.asked), len(quick.asked)) == (1, 7) or (len(slow.asked), len(quick.asked)) == (0, 8)


def test_holders_that_cut_or_lengthen_replies_are_given_up(tmp_path: Path) -> None:
    class Long(Holder):
        async def read(self, offset: int, length: int) -> bytes:
            return await super().read(offset, length) + b"+"

    class Short(Holder):
        async def read(self, offset: int, length: int) -> bytes:
            return (await super().read(offset, length))[:-1]

    long, short = Long("long"), Short("short")
    assert get([long, short, Holder("good")], tmp_path, parallel=1).path.read_bytes() == DATA
    assert max(len(long.asked), len(short.asked)) <= fetching.STRIKES


def test_no_holder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BlobUnavailable, match="no holder is known"):
        get([], tmp_path)


def test_an_impossible_size_is_refused_before_anyone_is_asked(tmp_path: Path) -> None:
    holder = Holder("a")
    with pytest.raises(FormatError, match="cannot be"):
        get([holder], tmp_path, BlobRef(REF.digest, 1 << 60))
    assert list(tmp_path.iterdir()) == []


def test_a_blob_larger_than_the_disk_is_refused_before_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = len(DATA) - 1

    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(StorageError, match="make room"):
        get([holder := Holder("a")], tmp_path)
    assert holder.asked == []


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        get([Holder("a")], tmp_path / "file" / "folder")


def test_a_part_file_that_vanishes_ends_the_fetch(tmp_path: Path) -> None:
    class Deleting(Holder):
        async def read(self, offset: int, length: int) -> bytes:
            (tmp_path / (unixfs.text(REF) + ".part")).unlink(missing_ok=True)
            return await super().read(offset, length)

    with pytest.raises(StorageError, match="cannot be written"):
        get([Deleting("a")], tmp_path)


def test_obtain_prefers_the_store_and_fills_it(tmp_path: Path) -> None:
    async def run() -> None:
        store, holder = MemoryStore(), Holder("a")
        assert await obtain(store, REF, [holder], tmp_path) == DATA
        asked = len(holder.asked)
        assert await obtain(store, REF, [], tmp_path) == DATA and len(holder.asked) == asked == COUNT
        assert list(tmp_path.iterdir()) == []
        store._blobs[REF] = DATA[:-1] + b"x"
        assert await obtain(store, REF, [holder], tmp_path) == DATA

    asyncio.run(run())


def test_obtaining_the_same_blob_at_once_fetches_it_once(tmp_path: Path) -> None:
    async def run() -> None:
        store, holder = MemoryStore(), Holder("a")
        assert await asyncio.gather(*(obtain(store, REF, [holder], tmp_path) for _ in range(4))) == [DATA] * 4
        assert len(holder.asked) == COUNT

    asyncio.run(run())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(["honest", "liar", "dying", "false outline"]), min_size=1, max_size=5),
    parallel=st.integers(1, 6),
    have=st.sets(st.integers(0, COUNT - 1)),
)
def test_whatever_the_holders_do_a_fetch_ends_right_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], parallel: int, have: set[int]
) -> None:
    directory = tmp_path_factory.mktemp("fetch")
    part = bytearray(len(DATA))
    for place in have:
        part[place * LEAF : (place + 1) * LEAF] = DATA[place * LEAF : (place + 1) * LEAF]
    (directory / (unixfs.text(REF) + ".part")).write_bytes(part)
    make = {
        "honest": Holder,
        "liar": Liar,
        "dying": lambda name: Holder(name, dies_after=2),
        "false outline": lambda name: Holder(name, outline=bytes(32 * COUNT)),
    }
    sources = [make[kind](f"{kind} {place}") for place, kind in enumerate(kinds)]
    try:
        result = get(sources, directory, parallel=parallel)
    except BlobUnavailable:
        assert "honest" not in kinds
        return
    assert result.path.read_bytes() == DATA
    assert all(name.startswith(("liar", "false")) for name in result.liars)
