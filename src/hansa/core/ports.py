"""The ports: what the algorithms and roles need of the world; each has a public in-memory twin that passes the same laws (tests/laws)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from hansa.core.types import Address, BlobRef, Envelope, Peer


class Entry(NamedTuple):
    """One journal record: its place (from 1, no gaps), its kind, its bytes."""

    sequence: int
    kind: str
    record: bytes


class Journal(Protocol):
    """An append-only record that survives `kill -9`: what was appended before a return is there after a restart."""

    def append(self, kind: str, record: bytes) -> int:
        """Durably add one record; returns its sequence. StorageError when it cannot (full disk), and then nothing was added."""
        ...

    def append_all(self, records: Iterable[tuple[str, bytes]]) -> int:
        """Add several, all or none, with one flush; returns the last sequence."""
        ...

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Records with sequence > after, in order."""
        ...

    def close(self) -> None: ...


class BlobStore(Protocol):
    """Content-addressed bytes: what comes out always matches its name."""

    async def put(self, data: bytes | memoryview) -> BlobRef:
        """Store, idempotently. StorageError when there is no room; then nothing half-written stays visible."""
        ...

    async def get(self, ref: BlobRef) -> bytes:
        """Whole content, verified. BlobUnavailable when absent, DigestMismatch when the stored bytes were damaged."""
        ...

    async def read(self, ref: BlobRef, offset: int, length: int) -> bytes:
        """A range for serving, clipped to the size, unverified (the fetcher verifies leaf by leaf)."""
        ...

    async def outline(self, ref: BlobRef) -> bytes:
        """The sha256 of each 1 MiB leaf, one after another: what a fetcher checks against the name and then verifies ranges with."""
        ...

    async def has(self, ref: BlobRef) -> bool: ...

    async def pin(self, ref: BlobRef, why: str) -> None:
        """Keep the blob as long as any reason stands."""
        ...

    async def unpin(self, ref: BlobRef, why: str) -> None: ...

    async def collect(self, *, grace: float, now: float) -> int:
        """Delete unpinned blobs stored more than `grace` seconds before `now`; returns the bytes freed."""
        ...


Handler = Callable[[Envelope, bytes], Awaitable[bytes]]
"""Serves one kind of request whose envelope has been verified; raises HansaError to refuse, whose sentence the sender sees."""

RangeHandler = Callable[[Address, BlobRef, int, int], Awaitable[bytes]]
"""Serves bytes of a blob: (verified requester, ref, offset, length)."""


class Transport(Protocol):
    """Signed requests to peers known from the ledger, and the answering side."""

    async def request(
        self, peer: Peer, kind: str, body: bytes, *, job: int = 0, round: int = 0, timeout: float = 30.0, max_reply: int = 4 << 20
    ) -> bytes:
        """Send one signed request. PeerRefused with the peer's sentence; TransportError on silence, a wrong certificate, a long reply."""
        ...

    async def fetch_range(self, peer: Peer, ref: BlobRef, offset: int, length: int, *, timeout: float = 30.0) -> bytes:
        """Exactly `length` bytes of a blob; TransportError otherwise."""
        ...

    async def serve(self, handlers: Mapping[str, Handler], blobs: RangeHandler | None = None) -> str:
        """Start answering; returns the base URL. Bodies over the handler's limit are refused before they are read."""
        ...

    async def close(self) -> None: ...


class Call(msgspec.Struct, frozen=True):
    """A contract call ready to send or to read: target, calldata, a gas limit (0: estimate) and a label for people."""

    to: str
    data: bytes
    label: str = ""
    gas: int = 0


class Block(msgspec.Struct, frozen=True):
    number: int
    hash: bytes
    parent: bytes
    timestamp: int


class Log(msgspec.Struct, frozen=True):
    """One event as the chain keeps it; `index` is its place in the block."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    block_hash: bytes
    index: int
    transaction: bytes


class Receipt(msgspec.Struct, frozen=True):
    """A mined, successful transaction; `created` is the address of the contract it made, if it made one."""

    transaction: bytes
    block: int
    gas_used: int
    logs: tuple[Log, ...]
    created: str = ""


class Signer(Protocol):
    """A secp256k1 key that signs 32-byte digests; the key itself never leaves it."""

    @property
    def address(self) -> Address: ...

    def sign(self, digest: bytes) -> bytes:
        """65 bytes r ‖ s ‖ v, v in {27, 28}, s in the lower half."""
        ...


class Ledger(Protocol):
    """The chain: reads, idempotent sends, logs."""

    @property
    def chain_id(self) -> int: ...

    async def head(self) -> Block: ...

    async def block(self, number: int) -> Block:
        """LedgerError when there is none."""
        ...

    async def call(self, call: Call, *, sender: Address | None = None) -> bytes:
        """Return data of a read at the head. Reverted with the custom error's name when the contract refuses."""
        ...

    async def send(self, call: Call, signer: Signer, *, intent: str) -> Receipt:
        """Send and wait until mined. The same (signer, intent) is sent once, ever, also across crashes: a repeat returns the first
        receipt; an intent that reverted may be tried again. Reverted when the contract refuses."""
        ...

    async def logs(self, addresses: Sequence[Address], first: int, last: int) -> list[Log]:
        """Logs of these contracts in blocks first..last inclusive, in chain order."""
        ...

    async def next_block(self, after: int, timeout: float) -> None:
        """Return as soon as the head is above block `after`, or when `timeout` seconds have passed; LedgerUnreachable as for reads."""
        ...

    async def receipt(self, transaction: bytes) -> Receipt | None:
        """The receipt of a transaction by its hash; None for one that is not mined or that the contract refused."""
        ...

    async def close(self) -> None: ...


class Beacon(Protocol):
    """Randomness nobody chose: a value committed before a decision and revealed after it (R8)."""

    def commitment(self, job: int, account: Address) -> bytes:
        """keccak commitment to this account's value for this job (R13)."""
        ...

    def reveal(self, job: int, account: Address) -> tuple[bytes, bytes]:
        """(value, salt), 32 bytes each; the same ones for ever once `commitment` was called."""
        ...
