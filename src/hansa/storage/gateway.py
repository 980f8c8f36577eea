"""An IPFS gateway as a holder: blobs that were added to IPFS with this profile are fetched like from any other peer.

Only the trustless part of a gateway is used, `GET /ipfs/<cid>?format=raw`, one block at a time; every block is hashed against its CID.
"""

from __future__ import annotations

import hashlib

import aiohttp

from hansa.core.errors import BlobUnavailable, FormatError, TransportError
from hansa.core.types import BlobRef
from hansa.storage import unixfs
from hansa.storage.unixfs import LEAF, RAW


class GatewaySource:
    """One blob at one gateway, whose base URL is the source's name; the session is the caller's."""

    def __init__(self, url: str, ref: BlobRef, session: aiohttp.ClientSession) -> None:
        self.name = url.rstrip("/")
        self._ref = ref
        self._session = session
        self._outline = ref.digest if ref.size <= LEAF else b""

    async def read(self, offset: int, length: int) -> bytes:
        """One whole leaf; BlobUnavailable when the gateway has not got it, FormatError for other bytes than the CID's."""
        if not self._outline:
            await self.outline()
        place = offset // LEAF * 32
        return (await self._block(RAW, self._outline[place : place + 32]))[offset % LEAF :][:length]

    async def outline(self) -> bytes:
        """The leaf digests, read from the tree's nodes level by level."""
        leaves = unixfs.leaf_count(self._ref.size)
        level = [unixfs.Link(unixfs.codec(self._ref), self._ref.digest, self._ref.size, 0)]
        while level[0].codec != RAW:
            below: list[unixfs.Link] = []
            for link in level:
                below += unixfs.parse_node(await self._block(link.codec, link.digest))
                if len(below) > leaves:
                    raise FormatError(f"{self.name} has a tree of over {leaves} leaves for a blob of {self._ref.size} bytes")
            if len(below) <= len(level):
                raise FormatError(f"{self.name} has a tree for the blob that does not branch")
            level = below
        self._outline = b"".join(link.digest for link in level)
        return self._outline

    async def _block(self, codec: int, digest: bytes) -> bytes:
        url = f"{self.name}/ipfs/{unixfs.text_of(codec, digest)}"
        try:
            async with self._session.get(url, params={"format": "raw"}) as response:
                if response.status != 200:
                    raise BlobUnavailable(f"{self.name} answers {response.status} for a block; ask another holder")
                block = bytearray()
                async for piece in response.content.iter_any():
                    block += piece
                    if len(block) > unixfs.MAX_NODE:
                        raise FormatError(f"{self.name} sends a block of over {unixfs.MAX_NODE} bytes")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TransportError(f"{self.name} does not serve a block ({error or 'silence'}); ask another holder") from error
        if hashlib.sha256(block).digest() != digest:
            raise FormatError(f"{self.name} sent other bytes than the CID names")
        return bytes(block)
