"""The directory store: room, crashes, damage beside the blob."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hansa.core.clock import ManualClock
from hansa.core.errors import BlobUnavailable, StorageError
from hansa.storage import unixfs
from hansa.storage.local import LocalStore
from hansa.storage.memory import MemoryStore
from hansa.storage.unixfs import LEAF


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_blobs_survive_a_restart_with_pins(tmp_path: Path) -> None:
    async def run() -> None:
        store = LocalStore(tmp_path, clock := ManualClock())
        ref = await store.put(bytes(LEAF + 5))
        await store.pin(ref, "job 1")
        again = LocalStore(tmp_path, clock)
        assert await again.get(ref) == bytes(LEAF + 5)
        assert await again.collect(grace=0, now=clock.now() + 10) == 0
        await again.unpin(ref, "job 1")
        assert await again.collect(grace=0, now=clock.now() + 10) == LEAF + 5
        assert files(tmp_path) == []

    asyncio.run(run())


def test_files_are_sharded_by_digest(tmp_path: Path) -> None:
    ref = asyncio.run(LocalStore(tmp_path).put(b"a"))
    assert files(tmp_path) == [f"{ref.digest.hex()[:2]}/{ref.digest.hex()}.1"]


def test_putting_again_refreshes_the_time(tmp_path: Path) -> None:
    async def run() -> None:
        store = LocalStore(tmp_path, clock := ManualClock())
        ref = await store.put(b"a")
        clock.advance(100)
        await store.put(b"a")
        assert await store.collect(grace=50, now=clock.now() + 40) == 0
        assert await store.has(ref)

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_without_room_nothing_is_kept_and_room_can_be_made(kind: str, tmp_path: Path) -> None:
    async def run() -> None:
        clock = ManualClock()
        store = LocalStore(tmp_path, clock, quota=100) if kind == "local" else MemoryStore(clock, capacity=100)
        first = await store.put(b"a" * 60)
        with pytest.raises(StorageError, match="no room for 41 bytes"):
            await store.put(b"b" * 41)
        assert not await store.has(unixfs.root(b"b" * 41))
        assert await store.put(b"a" * 60) == first
        await store.put(b"c" * 40)
        clock.advance(10)
        assert await store.collect(grace=0, now=clock.now()) == 100
        await store.put(b"b" * 41)

    asyncio.run(run())


def test_the_quota_counts_what_was_there_before(tmp_path: Path) -> None:
    asyncio.run(LocalStore(tmp_path).put(b"a" * 60))
    with pytest.raises(StorageError, match="60 of 100 used"):
        asyncio.run(LocalStore(tmp_path, quota=100).put(b"b" * 41))


_FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from hansa.core.errors import StorageError
from hansa.storage.local import LocalStore

async def main():
    store = LocalStore(Path(sys.argv[1]))
    small = await store.put(b"small")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try:
        await store.put(bytes(2 << 20))
    except StorageError as error:
        assert "nothing was kept" in str(error), error
    else:
        sys.exit("the disk was never full")
    assert await store.get(small) == b"small"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.get(await store.put(bytes(2 << 20)))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main())
"""


def test_a_disk_without_room_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    """The kernel refuses the write half-way (a file size limit); the same blob can be stored once there is room."""
    done = subprocess.run([sys.executable, "-c", _FULL, tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not any(name.startswith("incoming") for name in files(tmp_path))


_WRITER = """
import asyncio, sys
from pathlib import Path
from hansa.storage.local import LocalStore

async def main():
    store = LocalStore(Path(sys.argv[1]))
    for number in range(100_000):
        ref = await store.put(number.to_bytes(4, "big") * 400_000)
        print(ref.digest.hex(), flush=True)

asyncio.run(main())
"""


def test_kill_9_in_the_middle_of_puts_leaves_only_whole_blobs(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    stored = [writer.stdout.readline().strip() for _ in range(5)]
    os.kill(writer.pid, signal.SIGKILL)
    stored += writer.stdout.read().split()
    writer.stdout.close()
    writer.wait()

    async def check() -> None:
        store = LocalStore(tmp_path)
        refs = [unixfs.root(number.to_bytes(4, "big") * 400_000) for number in range(len(stored) + 1)]
        assert [ref.digest.hex() for ref in refs[:-1]] == stored
        for ref in refs[:-1]:
            await store.get(ref)
        if await store.has(refs[-1]):
            await store.get(refs[-1])
        visible = sum(ref.size for ref in refs if store._path(ref).exists())
        assert await store.collect(grace=0, now=4e9) == visible
        assert [name for name in files(tmp_path) if not name.endswith(".outline")] == []

    asyncio.run(check())


def test_what_a_crash_left_aside_is_swept(tmp_path: Path) -> None:
    async def run() -> None:
        store = LocalStore(tmp_path)
        left = tmp_path / "incoming" / "half"
        left.write_bytes(b"half a blob")
        assert await store.collect(grace=100, now=left.stat().st_mtime + 50) == 0
        assert left.exists()
        assert await store.collect(grace=100, now=left.stat().st_mtime + 150) == 0
        assert not left.exists()

    asyncio.run(run())


@pytest.mark.parametrize("spoil", ["flip", "cut", "delete"])
def test_a_damaged_outline_is_made_again(tmp_path: Path, spoil: str) -> None:
    async def run() -> None:
        data = bytes(range(256)) * 8192
        store = LocalStore(tmp_path)
        ref = await store.put(data)
        (path,) = tmp_path.rglob("*.outline")
        kept = path.read_bytes()
        if spoil == "delete":
            path.unlink()
        else:
            path.write_bytes(kept[:-1] + (bytes([kept[-1] ^ 1]) if spoil == "flip" else b""))
        assert await store.outline(ref) == unixfs.outline(data) == path.read_bytes()

    asyncio.run(run())


def test_damaged_pins_keep_the_blob_and_say_so(tmp_path: Path) -> None:
    async def run() -> None:
        store = LocalStore(tmp_path)
        ref = await store.put(b"a")
        await store.pin(ref, "job 1")
        (path,) = tmp_path.rglob("*.pins")
        path.write_bytes(b"{")
        with pytest.raises(StorageError, match=r"pins in .* are damaged .*; restore the file"):
            await store.collect(grace=0, now=4e9)
        assert await store.has(ref)

    asyncio.run(run())


def test_quarantined_bytes_are_kept_for_inspection(tmp_path: Path) -> None:
    async def run() -> None:
        store = LocalStore(tmp_path, quota=10)
        ref = await store.put(b"precious")
        store._path(ref).write_bytes(b"precious?")
        with pytest.raises(StorageError, match="no room"):
            await store.put(b"12345")
        with pytest.raises(Exception, match="quarantine"):
            await store.get(ref)
        assert (tmp_path / "quarantine" / store._path(ref).name).read_bytes() == b"precious?"
        with pytest.raises(BlobUnavailable):
            await store.read(ref, 0, 1)

    asyncio.run(run())


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        LocalStore(tmp_path / "file" / "blobs")
