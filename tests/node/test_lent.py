"""Blobs read one after another by a thread, and brought to second holders out of the store."""

from __future__ import annotations

import asyncio
import os

import pytest

from hansa.core.errors import BlobUnavailable
from hansa.core.types import BlobRef
from hansa.node.blobs import Blobs
from hansa.node.lent import Lent
from hansa.storage import unixfs
from tests.node.conftest import Hall
from tests.node.test_blobs import started
from tests.node.world import SharedPool, World


def test_a_thread_reads_what_it_was_lent_and_nothing_else(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await started(world, pool)
        blobs = world["coordinator"].blobs
        first, second, hidden = [await blobs.put(each) for each in (b"first", b"second", b"hidden")]
        lent = Lent(blobs, [first, second, unknown := BlobRef(b"u" * 32, 7)])
        assert len(lent) == 3 and set(lent) == {first.digest, second.digest, unknown.digest}
        assert [await asyncio.to_thread(lent.__getitem__, each.digest) for each in (second, first)] == [b"second", b"first"]
        with pytest.raises(KeyError):
            await asyncio.to_thread(lent.__getitem__, hidden.digest)
        with pytest.raises(BlobUnavailable):
            await asyncio.to_thread(lent.__getitem__, unknown.digest)

    hall.play(scenario, workers=False)


def test_blobs_wait_for_their_second_holder_in_the_store(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await started(world, pool)
        state, blobs, holder = world.state(job), world["coordinator"].blobs, world.parties["v0"].account
        contents = [os.urandom(100) for _ in range(50)]
        refs = [await blobs.put(each) for each in contents]
        bring, under_way, most = blobs.bring, 0, 0

        async def counted(self: Blobs, *arguments: object, **options: bool) -> object:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            try:
                return await bring(*arguments, **options)  # type: ignore[arg-type]
            finally:
                under_way -= 1

        blobs.bring = counted.__get__(blobs)  # type: ignore[method-assign]
        held = await asyncio.gather(*(blobs.place(state, ref, None, [holder], open=False) for ref in refs))
        assert [each.receipt.blob for each in held] == [ref.digest for ref in refs] and most == 16
        assert [await world["v0"].blobs.own(ref) for ref in refs] == contents
        with pytest.raises(BlobUnavailable):
            await blobs.place(state, unixfs.root(b"never stored"), None, [holder], open=False)

    hall.play(scenario, workers=False)
