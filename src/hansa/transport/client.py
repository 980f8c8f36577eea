"""The calling side: one pooled aiohttp session, each peer's certificate pinned, nothing followed, decoded or remembered for a peer."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
from yarl import URL

from hansa.core.clock import Clock
from hansa.core.encoding import sha256
from hansa.core.errors import FormatError, PeerRefused, TransportError
from hansa.core.ports import Signer
from hansa.core.types import Address, BlobRef, Peer
from hansa.identity.envelope import seal
from hansa.identity.typed import Domain
from hansa.transport import header
from hansa.transport.limits import CHUNK
from hansa.transport.reception import BLOB, MAX_SENTENCE, range_digest

_READ_BUFFER = 1 << 20
_EXPECT = 64 << 10
"""A body above this size is sent only after the peer has agreed to its envelope (100-continue)."""
_CONNECT_SECONDS = 10.0
_IDLE_SECONDS = 30.0
_MAX_ERROR = 4096


class _Error(msgspec.Struct):
    error: str


class Client:
    """Signed requests as `signer`, in the domain of one network."""

    def __init__(self, signer: Signer, domain: Domain, clock: Clock) -> None:
        self._signer, self._domain, self._clock = signer, domain, clock
        self._session: aiohttp.ClientSession | None = None

    async def request(self, peer: Peer, kind: str, body: bytes, job: int, round: int, timeout: float, max_reply: int) -> bytes:
        """As `core.ports.Transport.request`."""
        signed = self._envelope(peer, kind, sha256(body), job, round)
        async with self._exchange(peer, "POST", f"/v1/{kind}", signed, body, timeout) as reply:
            return await _read(peer, reply, max_reply)

    async def fetch_range(self, peer: Peer, ref: BlobRef, offset: int, length: int, timeout: float) -> bytes:
        """As `core.ports.Transport.fetch_range`."""
        if not (0 <= offset and 0 < length and offset + length <= ref.size):
            raise TransportError(f"bytes {offset} to {offset + length} do not lie within a blob of {ref.size} bytes")
        signed = self._envelope(peer, BLOB, range_digest(ref, offset, length), 0, 0)
        signed["range"] = f"bytes={offset}-{offset + length - 1}"
        async with self._exchange(peer, "GET", f"/ipfs/{ref.digest.hex()}?size={ref.size}", signed, None, timeout) as reply:
            if reply.status != 206:
                raise TransportError(f"{peer.url} answered a request for a range with the whole blob")
            data = await _read(peer, reply, length)
            if len(data) != length:
                raise TransportError(f"{peer.url} sent {len(data)} bytes of a blob where {length} were asked for")
            return data

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _envelope(self, peer: Peer, kind: str, digest: bytes, job: int, round: int) -> dict[str, str]:
        envelope = seal(
            self._signer,
            self._domain,
            recipient=Address(peer.account),
            kind=kind,
            body_digest=digest,
            now=self._clock.now(),
            job=job,
            round=round,
        )
        return {header.NAME: header.to_header(envelope)}

    @asynccontextmanager
    async def _exchange(
        self, peer: Peer, method: str, path: str, headers: dict[str, str], body: bytes | None, timeout: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            self._session = _new_session()
        try:
            async with self._session.request(
                method,
                _base(peer.url).join(URL(path, encoded=True)),
                data=body if body is None or len(body) <= CHUNK else _chunks(body),
                headers=headers if body is None else headers | {"content-length": str(len(body))},
                ssl=_pin(peer.certificate),
                expect100=body is not None and len(body) > _EXPECT,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, _CONNECT_SECONDS)),
            ) as reply:
                if reply.status not in (200, 206):
                    raise await _refusal(peer, reply)
                yield reply
        except aiohttp.ServerFingerprintMismatch as error:
            raise TransportError(f"{peer.url} shows another certificate than the ledger records for {peer.account}") from error
        except TimeoutError as error:
            raise TransportError(f"{peer.url} did not answer within {timeout:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise TransportError(f"{peer.url} cannot be used: {str(error) or type(error).__name__}") from error


async def _chunks(body: bytes) -> AsyncIterator[memoryview]:
    view = memoryview(body)
    for offset in range(0, len(view), CHUNK):
        yield view[offset : offset + CHUNK]


def _new_session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=256, limit_per_host=32, keepalive_timeout=_IDLE_SECONDS)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        # A peer must not make us unpack what it compressed.
        auto_decompress=False,
        headers={"accept-encoding": "identity"},
        skip_auto_headers=("user-agent", "content-type", "accept"),
        read_bufsize=_READ_BUFFER,
        trust_env=False,
    )


@functools.lru_cache(maxsize=1024)
def _pin(certificate: bytes) -> aiohttp.Fingerprint:
    # Cached because aiohttp pools connections by the pin's identity.
    if len(certificate) != 32:
        raise TransportError("a peer's certificate is recorded as 32 bytes (sha256 of its DER form); look it up on the ledger")
    return aiohttp.Fingerprint(certificate)


@functools.lru_cache(maxsize=1024)
def _base(url: str) -> URL:
    try:
        base = URL(url)
    except (ValueError, TypeError) as error:
        raise TransportError(f"{url!r:.200} is not a URL") from error
    if base.scheme != "https" or not base.host or base.user or base.path not in ("", "/") or base.query_string or base.fragment:
        raise TransportError(f"{url!r:.200} is not a node's address; it looks like https://host:port")
    return base


async def _read(peer: Peer, reply: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole reply, never more than `limit` bytes of it."""
    if (reply.content_length or 0) > limit:
        reply.close()
        raise TransportError(f"{peer.url} announced {reply.content_length} bytes; at most {limit} are accepted here")
    parts, received = [], 0
    async for part in reply.content.iter_any():
        received += len(part)
        if received > limit:
            reply.close()
            raise TransportError(f"{peer.url} sent more than the {limit} bytes that are accepted here")
        parts.append(part)
    return b"".join(parts)


async def _refusal(peer: Peer, reply: aiohttp.ClientResponse) -> TransportError:
    try:
        sentence = msgspec.json.decode(await _read(peer, reply, _MAX_ERROR), type=_Error).error
    except (msgspec.DecodeError, FormatError, TransportError):
        return TransportError(f"{peer.url} answered with status {reply.status} and no reason")
    # Shown to people and logged: one line of printable text, whatever the peer sent.
    return PeerRefused("".join(letter if letter.isprintable() else " " for letter in sentence[:MAX_SENTENCE]))
