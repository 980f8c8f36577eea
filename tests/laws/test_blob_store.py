"""The laws of `BlobStore`, over a directory, memory, and two fsspec file systems."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import fsspec
import pytest

from hansa.core.clock import ManualClock, SystemClock
from hansa.core.errors import BlobUnavailable, DigestMismatch, FormatError
from hansa.core.ports import BlobStore
from hansa.core.types import BlobRef
from hansa.storage import unixfs
from hansa.storage.local import LocalStore
from hansa.storage.memory import MemoryStore
from hansa.storage.remote import RemoteStore

LARGE = bytes(range(256)) * 4096 * 2 + b"tail"
"""Three leaves, the last one short."""


class Case(NamedTuple):
    store: BlobStore
    damage: Callable[[BlobRef], None]
    now: Callable[[], float]


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.fixture(params=["local", "memory", "fsspec memory", "fsspec file"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    def damage_file(ref: BlobRef) -> None:
        (path,) = tmp_path.glob(f"**/{ref.digest.hex()}.{ref.size}")
        path.write_bytes(flip(path.read_bytes()))

    if request.param == "local":
        clock = ManualClock()
        return Case(LocalStore(tmp_path, clock), damage_file, clock.now)
    if request.param == "memory":
        memory = MemoryStore(clock := ManualClock())
        return Case(memory, lambda ref: memory._blobs.update({ref: flip(memory._blobs[ref])}), clock.now)
    if request.param == "fsspec file":
        return Case(RemoteStore(f"file://{tmp_path}/bucket"), damage_file, SystemClock().now)
    files = fsspec.filesystem("memory")
    files.store.clear()
    remote = RemoteStore("memory://bucket/folder")

    def damage_object(ref: BlobRef) -> None:
        path = remote._path(ref)
        files.pipe_file(path, flip(files.cat_file(path)))

    return Case(remote, damage_object, SystemClock().now)


@pytest.mark.parametrize(
    "data", [b"", b"a", bytes(unixfs.LEAF), bytes(unixfs.LEAF) + b"t", LARGE], ids=["empty", "one", "leaf", "leaf+1", "large"]
)
def test_what_was_put_comes_out_under_its_name(case: Case, data: bytes) -> None:
    async def run() -> None:
        ref = await case.store.put(data)
        assert ref == unixfs.root(data)
        assert await case.store.get(ref) == data
        assert await case.store.has(ref)
        assert await case.store.outline(ref) == unixfs.outline(data)

    asyncio.run(run())


def test_putting_again_is_no_change(case: Case) -> None:
    async def run() -> None:
        first = await case.store.put(LARGE)
        assert await case.store.put(memoryview(bytearray(LARGE))) == first
        assert await case.store.collect(grace=0, now=case.now() + 1000) == len(LARGE)

    asyncio.run(run())


def test_ranges_are_clipped_to_the_size(case: Case) -> None:
    async def run() -> None:
        ref = await case.store.put(LARGE)
        assert await case.store.read(ref, 0, 10) == LARGE[:10]
        assert await case.store.read(ref, unixfs.LEAF - 3, 7) == LARGE[unixfs.LEAF - 3 : unixfs.LEAF + 4]
        assert await case.store.read(ref, len(LARGE) - 2, 1 << 40) == LARGE[-2:]
        assert await case.store.read(ref, len(LARGE), 5) == b""
        assert await case.store.read(ref, 1 << 50, 5) == b""
        assert await case.store.read(ref, 5, 0) == b""

    asyncio.run(run())


@pytest.mark.parametrize(("offset", "length"), [(-1, 5), (0, -1)])
def test_negative_ranges_are_refused(case: Case, offset: int, length: int) -> None:
    async def run() -> None:
        ref = await case.store.put(b"abc")
        with pytest.raises(FormatError, match="must not be negative"):
            await case.store.read(ref, offset, length)

    asyncio.run(run())


def test_what_is_absent_is_unavailable_by_every_way(case: Case) -> None:
    async def run() -> None:
        await case.store.put(b"present")
        for ref in (unixfs.root(b"absent"), BlobRef(unixfs.root(b"present").digest, 6), BlobRef(unixfs.root(LARGE).digest, len(LARGE))):
            assert not await case.store.has(ref)
            with pytest.raises(BlobUnavailable):
                await case.store.get(ref)
            with pytest.raises(BlobUnavailable):
                await case.store.read(ref, 0, 1)
            with pytest.raises(BlobUnavailable):
                await case.store.read(ref, 1 << 40, 1)
            with pytest.raises(BlobUnavailable):
                await case.store.outline(ref)
            with pytest.raises(BlobUnavailable):
                await case.store.pin(ref, "job 1")
            await case.store.unpin(ref, "job 1")

    asyncio.run(run())


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "large"])
def test_damage_is_found_set_aside_and_mended_by_putting_again(case: Case, data: bytes) -> None:
    async def run() -> None:
        ref = await case.store.put(data)
        case.damage(ref)
        with pytest.raises(DigestMismatch, match="damaged.*fetch it again"):
            await case.store.get(ref)
        assert not await case.store.has(ref)
        with pytest.raises(BlobUnavailable):
            await case.store.get(ref)
        assert await case.store.put(data) == ref
        assert await case.store.get(ref) == data

    asyncio.run(run())


def test_collect_deletes_what_is_old_and_unpinned(case: Case) -> None:
    async def run() -> None:
        kept, gone = await case.store.put(b"kept"), await case.store.put(LARGE)
        await case.store.pin(kept, "job 1")
        assert await case.store.collect(grace=500, now=case.now() + 400) == 0
        assert await case.store.has(gone)
        assert await case.store.collect(grace=500, now=case.now() + 600) == len(LARGE)
        assert not await case.store.has(gone) and await case.store.get(kept) == b"kept"

    asyncio.run(run())


def test_a_blob_is_kept_until_the_last_reason_is_gone(case: Case) -> None:
    async def run() -> None:
        ref = await case.store.put(b"wanted twice")
        for why in ("job 1", "job 2", "job 1"):
            await case.store.pin(ref, why)
        later = case.now() + 1000
        await case.store.unpin(ref, "job 1")
        assert await case.store.collect(grace=0, now=later) == 0
        await case.store.unpin(ref, "never a reason")
        assert await case.store.collect(grace=0, now=later) == 0
        await case.store.unpin(ref, "job 2")
        assert await case.store.collect(grace=0, now=later) == len(b"wanted twice")

    asyncio.run(run())


def test_many_puts_at_once_are_all_there(case: Case) -> None:
    async def run() -> None:
        blobs = [hashlib.sha256(bytes([n % 8])).digest() * 10 for n in range(24)]
        refs = await asyncio.gather(*(case.store.put(blob) for blob in blobs))
        assert [await case.store.get(ref) for ref in refs] == blobs
        assert await case.store.collect(grace=0, now=case.now() + 1000) == 8 * 320

    asyncio.run(run())
