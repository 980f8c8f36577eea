"""The fsspec store: what remote systems do that a directory does not."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import fsspec
import pytest

from hansa.core.errors import StorageError
from hansa.storage import unixfs
from hansa.storage.remote import RemoteStore


def test_an_address_nobody_understands_is_one_sentence() -> None:
    with pytest.raises(StorageError, match="check the address"):
        RemoteStore("nothing-like-this://bucket")


def test_a_broken_upload_counts_as_absent_and_is_mended(tmp_path: Path) -> None:
    async def run() -> None:
        store = RemoteStore(f"file://{tmp_path}")
        ref = await store.put(b"whole")
        Path(store._path(ref)).write_bytes(b"who")
        assert not await store.has(ref)
        assert await store.put(b"whole") == ref and await store.get(ref) == b"whole"

    asyncio.run(run())


def test_two_stores_over_one_place_see_the_same(tmp_path: Path) -> None:
    async def run() -> None:
        one, two = RemoteStore(f"file://{tmp_path}"), RemoteStore(f"file://{tmp_path}")
        ref = await one.put(b"shared")
        await one.pin(ref, "job 1")
        assert await two.get(ref) == b"shared"
        assert await two.collect(grace=0, now=time.time() + 100) == 0

    asyncio.run(run())


def test_putting_again_refreshes_the_time(tmp_path: Path) -> None:
    async def run() -> None:
        store = RemoteStore(f"file://{tmp_path}")
        ref = await store.put(b"again")
        old = time.time() - 1000
        os.utime(store._path(ref), (old, old))
        await store.put(b"again")
        assert await store.collect(grace=500, now=time.time()) == 0
        assert await store.has(ref)

    asyncio.run(run())


def test_a_driver_that_fails_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Exception):
        pass

    def fail(*_: object, **__: object) -> None:
        raise Broken("the token expired")

    async def run() -> None:
        store = RemoteStore("memory://broken")
        ref = unixfs.root(b"x")
        monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "cat_file", fail)
        monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "pipe_file", fail)
        for call in (store.get(ref), store.put(b"x"), store.read(ref, 0, 1)):
            with pytest.raises(StorageError, match="the token expired"):
                await call

    asyncio.run(run())
