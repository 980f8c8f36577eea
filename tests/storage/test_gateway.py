"""Fetching from an IPFS gateway, played by a real HTTP server on loopback that holds blocks by CID."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from hansa.core.errors import BlobUnavailable, FormatError, TransportError
from hansa.core.types import BlobRef
from hansa.storage import unixfs
from hansa.storage.fetch import fetch
from hansa.storage.gateway import GatewaySource
from hansa.storage.unixfs import DAG_PB, LEAF, RAW, Link

DATA = bytes(range(256)) * 4096 * 5 + b"end"
REF = unixfs.root(DATA)

Blocks = dict[str, bytes]


def add(blocks: Blocks, codec: int, block: bytes) -> bytes:
    digest = hashlib.sha256(block).digest()
    blocks[unixfs.text_of(codec, digest)] = block
    return digest


def blocks_of(data: bytes, width: int = unixfs.WIDTH) -> tuple[Blocks, bytes]:
    """All blocks of a blob and the digest of the root, as an IPFS node keeps them."""
    blocks: Blocks = {}
    pieces = [data[first : first + LEAF] for first in range(0, len(data), LEAF)] or [b""]
    level = [Link(RAW, add(blocks, RAW, piece), len(piece), len(piece)) for piece in pieces]
    while len(level) > 1:
        groups = [level[first : first + width] for first in range(0, len(level), width)]
        for group in groups:
            add(blocks, DAG_PB, unixfs.encode_node(group))
        level = [unixfs.node(group) for group in groups]
    return blocks, level[0].digest


def with_gateway(blocks: Blocks, ref: BlobRef, test: Callable[[GatewaySource], Awaitable[None]]) -> None:
    async def serve(request: web.Request) -> web.Response:
        block = blocks.get(request.match_info["cid"])
        if block is None or request.query.get("format") != "raw":
            raise web.HTTPNotFound
        return web.Response(body=block)

    async def main() -> None:
        application = web.Application()
        application.router.add_get("/ipfs/{cid}", serve)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            async with aiohttp.ClientSession() as session:
                await test(GatewaySource(f"http://127.0.0.1:{port}/", ref, session))
        finally:
            await runner.cleanup()

    asyncio.run(main())


@pytest.mark.parametrize("data", [b"", b"small", bytes(LEAF), DATA], ids=["empty", "small", "leaf", "large"])
def test_a_blob_comes_block_by_block(data: bytes, tmp_path: Path) -> None:
    blocks, digest = blocks_of(data)
    ref = unixfs.root(data)
    assert digest == ref.digest

    async def test(source: GatewaySource) -> None:
        result = await fetch(ref, [source], tmp_path)
        assert result.path.read_bytes() == data and result.liars == ()

    with_gateway(blocks, ref, test)


def test_a_tree_of_several_levels_is_walked_in_order() -> None:
    blocks, digest = blocks_of(DATA, width=2)

    async def test(source: GatewaySource) -> None:
        assert await source.outline() == unixfs.outline(DATA)
        assert await source.read(LEAF * 5, 3) == b"end"
        assert await source.read(LEAF, 10) == DATA[LEAF : LEAF + 10]

    with_gateway(blocks, BlobRef(digest, len(DATA)), test)


def test_a_resumed_fetch_reads_without_asking_for_the_outline_first() -> None:
    async def test(source: GatewaySource) -> None:
        assert await source.read(0, LEAF) == DATA[:LEAF]

    with_gateway(blocks_of(DATA)[0], REF, test)


def test_a_missing_block_is_unavailable() -> None:
    async def test(source: GatewaySource) -> None:
        with pytest.raises(BlobUnavailable, match="answers 404"):
            await source.read(0, LEAF)

    with_gateway({}, REF, test)


@pytest.mark.parametrize("codec", [RAW, DAG_PB])
def test_other_bytes_than_the_cid_names_are_refused(codec: int) -> None:
    blocks = blocks_of(DATA)[0]
    kind = "bafkrei" if codec == RAW else "bafybei"
    spoilt = {cid: block[:-1] + bytes([block[-1] ^ 1]) if cid.startswith(kind) else block for cid, block in blocks.items()}

    async def test(source: GatewaySource) -> None:
        with pytest.raises(FormatError, match="other bytes than the CID"):
            await source.read(0, LEAF)

    with_gateway(spoilt, REF, test)


def test_a_block_without_end_is_cut_off() -> None:
    async def test(source: GatewaySource) -> None:
        with pytest.raises(FormatError, match="over 2097152 bytes"):
            await source.read(0, 5)

    ref = unixfs.root(b"short")
    with_gateway({unixfs.text(ref): bytes(5 << 20)}, ref, test)


def test_trees_that_never_end_or_are_too_wide_are_refused() -> None:
    chain: Blocks = {}
    leaf = Link(RAW, add(chain, RAW, b"x"), 1, 1)
    inner = Link(DAG_PB, add(chain, DAG_PB, unixfs.encode_node([leaf])), 1, 1)
    top = add(chain, DAG_PB, unixfs.encode_node([inner]))
    wide: Blocks = {}
    root = add(wide, DAG_PB, unixfs.encode_node([leaf] * 7))

    async def endless(source: GatewaySource) -> None:
        with pytest.raises(FormatError, match="does not branch"):
            await source.outline()

    async def bushy(source: GatewaySource) -> None:
        with pytest.raises(FormatError, match="over 6 leaves"):
            await source.outline()

    with_gateway(chain, BlobRef(top, len(DATA)), endless)
    with_gateway(wide, BlobRef(root, len(DATA)), bushy)


def test_a_gateway_that_is_gone_is_a_transport_error() -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(TransportError, match="ask another holder"):
                await GatewaySource("http://127.0.0.1:1", REF, session).outline()

    asyncio.run(run())
