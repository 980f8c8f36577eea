"""A node's blobs: what it holds for jobs and who may read it, and getting from other holders what it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from hansa.core import frames
from hansa.core.encoding import decode, encode
from hansa.core.errors import BlobUnavailable, FormatError, HansaError, PeerRefused, ProtocolError
from hansa.core.ports import BlobStore, Signer, Transport
from hansa.core.types import Address, BlobRef, Envelope, Peer
from hansa.identity.statements import HoldReceipt
from hansa.identity.typed import Domain
from hansa.node.book import Book
from hansa.node.directory import Directory
from hansa.node.recent import Recent
from hansa.node.records import Guarded
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Held
from hansa.storage import unixfs
from hansa.storage.fetch import obtain

MAX_UPLOAD = 64 << 20
"""Bytes of one blob brought by another party in one request."""
IN_MEMORY = 64 << 20
"""Bytes of recently used blobs that are kept in memory."""
TIMEOUT = 10.0
"""Seconds for which a holder may be silent."""
GRACE = 3600.0
"""Seconds for which a blob that belongs to no job stays in the store."""
OPEN_HOUSE = 0
"""The number under which a client offers blobs before it has posted their job."""

_AT_ONCE = 16
"""Blobs that are brought to second holders at a time."""
_PIN = "job"
_INLINE = 64 << 10


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
    """The store behind a door: reading needs a seat in the job that the blob belongs to.

    `until` says how long a job's blobs are kept, in seconds since 1970; `allowance` how many bytes others may place here for a job.
    """

    def __init__(
        self, store: BlobStore, book: Book, transport: Transport, directory: Directory, domain: Domain, signer: Signer, account: Address,
        jobs: Callable[[int], JobState | None], scratch: Path, until: Callable[[JobState], int],
        allowance: Callable[[JobState], Awaitable[int]],
    ) -> None:  # fmt: skip
        self._store, self._book, self._transport, self._directory = store, book, transport, directory
        self._domain, self._signer, self._account, self._jobs, self._scratch = domain, signer, account, jobs, scratch
        self._until, self._allowance = until, allowance
        self._recent: Recent[bytes] = Recent(IN_MEMORY, len)
        # Promises are not journalled: after a restart they are asked for again, and those that matter stand in the manifests.
        self._held: dict[int, dict[bytes, Held]] = {}
        self._placing: dict[tuple[int, bytes], asyncio.Task[Held]] = {}
        # More at a time would only wait for the holder's connections, with its patience running.
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._failing: set[Address] = set()
        self._pinned: set[BlobRef] = set()

    async def put(self, data: bytes | memoryview) -> BlobRef:
        """Store; nobody may read the blob yet, and it is kept only for a while, unless a record of `guard` is written next."""
        ref = await self._store.put(data)
        self._recent.put(ref.digest, bytes(data))
        return ref

    def guard(self, job: int, ref: BlobRef, until: int, *, open: bool, by: str = "") -> tuple[Guarded, ...]:
        """What to write into the book so that the blob is kept for a job, and read by every party of it if `open`, else by coordinators
        and verifiers only; nothing when that is written already. What was closed once stays closed. `by`: who brought it."""
        known = self._book.guarded[ref.digest].get(job) if ref.digest in self._book.guarded else None
        if known is not None and known.until >= until:
            return ()
        return (Guarded(job, ref, until, open and (known is None or known.open), by),)

    async def keep(self, job: int, data: bytes | memoryview, until: int, *, open: bool) -> BlobRef:
        """Store and guard, in one."""
        ref = await self.put(data)
        await self._book.write(*self.guard(job, ref, until, open=open))
        return ref

    async def own(self, ref: BlobRef) -> bytes:
        """A blob of this node's store."""
        recent = self._recent.get(ref.digest)
        if recent is None:
            recent = await self._store.get(ref)
            self._recent.put(ref.digest, recent)
        return recent

    async def get(self, ref: BlobRef, holders: Sequence[Address]) -> bytes:
        """The blob, from here or from holders that nobody has to trust; BlobUnavailable names who was asked and why none would do."""
        recent = self._recent.get(ref.digest)
        if recent is not None and len(recent) == ref.size:
            return recent
        if await self._store.has(ref):
            return await self.own(ref)
        others = [holder for holder in dict.fromkeys(holders) if holder != self._account and holder in self._directory]
        if ref.size > unixfs.LEAF:
            sources = [_PeerSource(self._transport, self._directory.peer(holder), ref) for holder in others]
            data = await obtain(self._store, ref, sources, self._scratch)
        else:
            data = await self._get_leaf(ref, others)
        self._recent.put(ref.digest, data)
        return data

    async def _get_leaf(self, ref: BlobRef, holders: Sequence[Address]) -> bytes:
        reasons = []
        for holder in self._living_first(holders):
            try:
                data = await self._transport.fetch_range(self._directory.peer(holder), ref, 0, ref.size, timeout=TIMEOUT)
            except HansaError as error:
                self._note(holder, error)
                reasons.append(f"{self._directory.name(holder)}: {error}")
                continue
            self._failing.discard(holder)
            if unixfs.root(data) == ref:
                return data
            reasons.append(f"{self._directory.name(holder)}: other bytes than asked for")
        raise BlobUnavailable(f"no holder serves {ref.digest.hex()[:16]} ({ref.size} bytes); asked {'; '.join(reasons) or 'nobody'}")

    async def place(self, job: JobState, ref: BlobRef, data: bytes | None, candidates: Sequence[Address], *, open: bool) -> Held:
        """One other holder's signed promise for a blob (R17), brought to it unless it was before; BlobUnavailable when nobody takes it.

        Whoever wants the same placed meanwhile shares the work. Without `data` they are read from the store here when the blob's turn
        comes, so that a round's updates do not lie in memory until a holder has taken them.
        """
        held = self._held.get(job.id, {}).get(ref.digest)
        if held is not None:
            return held
        self.begin_placing(job, ref, data, candidates, open=open)
        return await asyncio.shield(self._placing[(job.id, ref.digest)])

    def begin_placing(self, job: JobState, ref: BlobRef, data: bytes | None, candidates: Sequence[Address], *, open: bool) -> None:
        """Start what `place` will wait for, unless it is under way or done."""
        key = (job.id, ref.digest)
        if key not in self._placing and ref.digest not in self._held.get(job.id, {}):
            task = self._placing[key] = asyncio.create_task(self._place(job, ref, data, candidates, open))
            task.add_done_callback(lambda done: self._placed(key, done))

    async def _place(self, job: JobState, ref: BlobRef, data: bytes | None, candidates: Sequence[Address], open: bool) -> Held:
        async with self._places:
            return await self._bring_to_one(job, ref, await self.own(ref) if data is None else data, candidates, open)

    async def _bring_to_one(self, job: JobState, ref: BlobRef, data: bytes, candidates: Sequence[Address], open: bool) -> Held:
        reasons = []
        for holder in self._living_first([each for each in candidates if each != self._account]):
            try:
                held = await self.bring(job, ref, data, self._until(job), holder, open=open)
            except HansaError as error:
                self._note(holder, error)
                reasons.append(f"{self._directory.name(holder)}: {error}")
                continue
            self._failing.discard(holder)
            self._held.setdefault(job.id, {})[ref.digest] = held
            return held
        raise BlobUnavailable(f"no second holder for {ref.digest.hex()[:16]}: {'; '.join(reasons) or 'no candidate'}")

    def _living_first(self, holders: Sequence[Address]) -> list[Address]:
        """Who was silent the last time is asked last: one dead holder must not cost every blob its timeout."""
        return sorted(holders, key=lambda each: each in self._failing)

    def _note(self, holder: Address, error: HansaError) -> None:
        if not isinstance(error, PeerRefused):
            self._failing.add(holder)

    def _placed(self, key: tuple[int, bytes], done: asyncio.Task[Held]) -> None:
        del self._placing[key]
        if not done.cancelled():
            done.exception()  # whoever needs the promise asks again and is told

    async def bring(self, job: JobState, ref: BlobRef, data: bytes, until: int, holder: Address, *, open: bool) -> Held:
        """Bring a blob to one holder; its signed promise, or an error of the tree."""
        body = frames.pack([encode(HoldRequest(ref, until, open)), data])
        reply = await self._transport.request(self._directory.peer(holder), "hold", body, job=job.id, round=job.round, timeout=TIMEOUT)
        held = decode(reply, Held)
        receipt = held.receipt
        signer = self._directory.account_of(receipt.signer_of(self._domain, held.signature))
        if (receipt.job, receipt.blob, receipt.size) != (job.id, ref.digest, ref.size) or receipt.until < until:
            raise ProtocolError("the holder's promise is for another blob or a shorter time")
        if signer != holder or held.holder != holder:
            raise ProtocolError("the holder's promise is signed by another key")
        return held

    async def hold(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "hold": take a blob from a coordinator or the client of a job and promise to serve it."""
        header, data = frames.unpack(body, 2)
        asked = decode(bytes(header), HoldRequest)
        job, sender = self._jobs(envelope.job), self._directory.account_of(Address(envelope.sender))
        if job is None or sender not in ({*job.coordinators, job.client} - set(job.removed)):
            raise PeerRefused("only coordinators and the client of a job place blobs here")
        if asked.until > self._until(job):
            raise PeerRefused(f"blobs of job {job.id} are kept until {self._until(job)} at most, not until {asked.until}")
        known = job.id in self._book.guarded.get(asked.ref.digest, {})
        if not known and self._book.brought[job.id][sender] + len(data) > await self._allowance(job):
            raise PeerRefused(f"you placed more bytes here for job {job.id} than its rounds can need")
        if asked.ref.size != len(data) or await name_of(data) != asked.ref:
            raise FormatError("the blob's bytes do not match the digest it was sent under; send it again")
        ref = await self.put(data)
        await self._book.write(*self.guard(job.id, ref, asked.until, open=asked.open, by=sender))
        receipt = HoldReceipt(job.id, envelope.round, ref.digest, ref.size, asked.until)
        return encode(Held(receipt, self._account, receipt.sign(self._domain, self._signer)))

    async def outline(self, envelope: Envelope, body: bytes) -> bytes:
        """Handler "outline": the leaf digests of a blob that the sender may read."""
        ref = decode(body, BlobRef)
        self._check_reader(Address(envelope.sender), ref)
        return await self._store.outline(ref)

    async def read(self, requester: Address, ref: BlobRef, offset: int, length: int) -> bytes:
        """Range handler: parties of the blob's job, as its guard allows."""
        self._check_reader(requester, ref)
        recent = self._recent.get(ref.digest)
        if recent is not None and len(recent) == ref.size:
            return recent[offset : offset + length]
        return await self._store.read(ref, offset, length)

    def _check_reader(self, requester: Address, ref: BlobRef) -> None:
        guards = self._book.guarded.get(ref.digest, {})
        if not guards:
            raise BlobUnavailable("this node does not hold that blob")
        account = self._directory.account_of(requester)
        if not any(self._may_read(account, guarded) for guarded in guards.values()):
            raise PeerRefused("that blob is not for everyone: its job's coordinators and verifiers read it, and who else it is open to")

    def _may_read(self, account: Address, guarded: Guarded) -> bool:
        if guarded.job == OPEN_HOUSE:
            return guarded.open
        job = self._jobs(guarded.job)
        if job is None:
            return False
        if guarded.open:
            return account == job.client or job.has_member(account)
        # Not whoever stood for a seat and was not drawn, nor who lost it.
        return account in (*job.coordinators, *job.verifiers) and account not in job.removed

    def forget(self, job: int) -> None:
        """Drop what is remembered of a job that is over."""
        self._held.pop(job, None)

    async def tidy(self, now: float) -> int:
        """Let go of what no job needs any longer, at `now` in seconds since 1970; the bytes freed."""
        # Pins are set here and not when a blob comes: only who deletes has to know of them, and the book knows what is to be kept.
        guards = [guarded for jobs in self._book.guarded.values() for guarded in jobs.values()]
        kept = {ref for job in list(self._book.kept.values()) for ref in job.values()}
        wanted = {each.ref for each in guards if each.until >= now} | kept
        for ref in wanted - self._pinned:
            if await self._store.has(ref):
                await self._store.pin(ref, _PIN)
                self._pinned.add(ref)
        for ref in ({each.ref for each in guards} | self._pinned) - wanted:
            await self._store.unpin(ref, _PIN)
            self._pinned.discard(ref)
            self._recent.drop(ref.digest)
        return await self._store.collect(grace=GRACE, now=now)

    async def close(self) -> None:
        """Give up what is being placed; it is placed again when it is needed."""
        tasks = list(self._placing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def name_of(data: bytes | memoryview) -> BlobRef:
    """The blob name of some bytes; many bytes are hashed off the loop."""
    return unixfs.root(data) if len(data) <= _INLINE else await asyncio.to_thread(unixfs.root, data)
