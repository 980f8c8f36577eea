"""A node's blobs: what it holds for jobs and who may read it, and getting from other holders what it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hansa.core import frames
from hansa.core.encoding import decode, encode
from hansa.core.errors import BlobUnavailable, FormatError, HansaError, PeerRefused, ProtocolError
from hansa.core.ports import BlobStore, Signer, Transport
from hansa.core.types import Address, BlobRef, Envelope, Peer
from hansa.identity.statements import HoldReceipt
from hansa.identity.typed import Domain
from hansa.node.book import Book, Guarded, Placed
from hansa.node.directory import Directory
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Held
from hansa.storage import unixfs
from hansa.storage.fetch import fetch

MAX_UPLOAD = 64 << 20
"""Bytes of one blob brought by another party in one request."""


class HoldRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a holder is asked to take: the blob's name, until when (seconds since 1970), whether every party of the job may read it."""

    ref: BlobRef
    until: int
    open: bool


class _PeerSource:
    """One holder of one blob, for a resumable fetch."""

    def __init__(self, transport: Transport, peer: Peer, ref: BlobRef) -> None:
        self.name = peer.account
        self._transport, self._peer, self._ref = transport, peer, ref

    async def read(self, offset: int, length: int) -> bytes:
        return await self._transport.fetch_range(self._peer, self._ref, offset, length)

    async def outline(self) -> bytes:
        return await self._transport.request(self._peer, "outline", encode(self._ref))


class Blobs:
    """The store behind a door: reading needs a seat in the job that the blob belongs to."""

    def __init__(
        self, store: BlobStore, book: Book, transport: Transport, directory: Directory, domain: Domain, signer: Signer, account: Address,
        jobs: Callable[[int], JobState | None], scratch: Path,
    ) -> None:  # fmt: skip
        self._store, self._book, self._transport, self._directory = store, book, transport, directory
        self._domain, self._signer, self._account, self._jobs, self._scratch = domain, signer, account, jobs, scratch

    async def keep(self, job: int, data: bytes | memoryview, until: int, *, open: bool) -> BlobRef:
        """Store and guard a blob for a job; `open` lets every party of the job read it, else verifiers and coordinators only."""
        ref = await self._store.put(data)
        if ref.digest not in self._book.guarded:
            await self._store.pin(ref, f"job/{job}")
            self._book.write(Guarded(job, ref, until, open))
        return ref

    async def own(self, ref: BlobRef) -> bytes:
        return await self._store.get(ref)

    async def get(self, ref: BlobRef, holders: Sequence[Address]) -> bytes:
        """The blob, from here or from holders that nobody has to trust; BlobUnavailable names who was asked and why none would do."""
        if await self._store.has(ref):
            return await self._store.get(ref)
        others = [holder for holder in dict.fromkeys(holders) if holder != self._account and holder in self._directory]
        if ref.size > unixfs.LEAF:
            sources = [_PeerSource(self._transport, self._directory.peer(holder), ref) for holder in others]
            fetched = await fetch(ref, sources, self._scratch)
            data = await asyncio.to_thread(fetched.path.read_bytes)
            fetched.path.unlink(missing_ok=True)
            return data
        reasons = []
        for holder in others:
            try:
                data = await self._transport.fetch_range(self._directory.peer(holder), ref, 0, ref.size)
            except HansaError as error:
                reasons.append(f"{self._directory.name(holder)}: {error}")
                continue
            if unixfs.root(data) == ref:
                return data
            reasons.append(f"{self._directory.name(holder)}: other bytes than asked for")
        raise BlobUnavailable(f"no holder serves {ref.digest.hex()[:16]} ({ref.size} bytes); asked {'; '.join(reasons) or 'nobody'}")

    async def place(self, job: JobState, ref: BlobRef, data: bytes, until: int, candidates: Sequence[Address], *, open: bool) -> None:
        """Bring a blob to one other holder and keep its signed promise (R17); BlobUnavailable when nobody takes it."""
        if self._book.placed.get(ref.digest):
            return
        reasons = []
        for holder in candidates:
            if holder == self._account:
                continue
            try:
                held = await self.bring(job, ref, data, until, holder, open=open)
            except HansaError as error:
                reasons.append(f"{self._directory.name(holder)}: {error}")
                continue
            self._book.write(Placed(held))
            return
        raise BlobUnavailable(f"no second holder for {ref.digest.hex()[:16]}: {'; '.join(reasons) or 'no candidate'}")

    async def bring(self, job: JobState, ref: BlobRef, data: bytes, until: int, holder: Address, *, open: bool) -> Held:
        """Bring a blob to one holder; its signed promise, or an error of the tree."""
        body = frames.pack([encode(HoldRequest(ref, until, open)), data])
        reply = await self._transport.request(self._directory.peer(holder), "hold", body, job=job.id, round=job.round, timeout=10.0)
        held = decode(reply, Held)
        self._check_promise(held, job.id, ref, holder)
        return held

    def _check_promise(self, held: Held, job: int, ref: BlobRef, holder: Address) -> None:
        receipt = held.receipt
        key = receipt.signer_of(self._domain, held.signature)
        if (receipt.job, receipt.blob, receipt.size) != (job, ref.digest, ref.size) or self._directory.account_of(key) != holder:
            raise ProtocolError("the holder's promise is for another blob or signed by another key")

    async def hold(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "hold": take a blob from a coordinator or the client of a job and promise to serve it."""
        header, data = frames.unpack(body, 2)
        asked = decode(bytes(header), HoldRequest)
        job, sender = self._jobs(envelope.job), self._directory.account_of(Address(envelope.sender))
        if job is None or sender not in (*job.coordinators, job.client):
            raise PeerRefused("only coordinators and the client of a job place blobs here")
        if unixfs.root(data) != asked.ref:
            raise FormatError("the blob's bytes do not match the digest it was sent under; send it again")
        ref = await self.keep(envelope.job, data, asked.until, open=asked.open)
        receipt = HoldReceipt(envelope.job, envelope.round, ref.digest, ref.size, asked.until)
        return encode(Held(receipt, self._account, receipt.sign(self._domain, self._signer)))

    async def outline(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "outline": the leaf digests of a blob that the sender may read."""
        ref = decode(body, BlobRef)
        self._check_reader(Address(envelope.sender), ref)
        return await self._store.outline(ref)

    async def read(self, requester: Address, ref: BlobRef, offset: int, length: int) -> bytes:
        """Range handler: parties of the blob's job, as its guard allows."""
        self._check_reader(requester, ref)
        return await self._store.read(ref, offset, length)

    def _check_reader(self, requester: Address, ref: BlobRef) -> None:
        guarded = self._book.guarded.get(ref.digest)
        if guarded is None:
            raise BlobUnavailable("this node does not hold that blob")
        account, job = self._directory.account_of(requester), self._jobs(guarded.job)
        if job is not None and account not in self._readers(job, guarded):
            raise PeerRefused("that blob is read by its job's coordinators and verifiers alone")

    def _readers(self, job: JobState, guarded: Guarded) -> set[str]:
        readers = {*job.coordinators, *job.candidates}
        return readers | {*job.trainers, job.client} if guarded.open else readers
