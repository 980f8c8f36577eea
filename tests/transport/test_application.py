"""The HTTP surface as an ASGI callable, without sockets: routes, limits, sentences, and what no input may bring about."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import MutableMapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.core.clock import ManualClock
from hansa.core.encoding import sha256
from hansa.core.errors import BlobUnavailable
from hansa.core.types import Address, BlobRef, Envelope
from hansa.identity.envelope import seal
from hansa.identity.keys import AccountKey
from hansa.identity.replay import ReplayGuard
from hansa.identity.typed import Domain
from hansa.transport.application import WINDOW, Application
from hansa.transport.header import NAME, to_header
from hansa.transport.limits import CHUNK, Limits
from hansa.transport.reception import Reception, range_digest

KEY, ME = AccountKey(b"\x01" * 32), AccountKey(b"\x02" * 32).address
DOMAIN = Domain(31337, Address("0x" + "ab" * 20))
BLOB = bytes(range(256)) * 10_000
REF = BlobRef(bytes.fromhex("7d" * 32), len(BLOB))
RAW = BlobRef(hashlib.sha256(b"a").digest(), 1)
RAW_CID = "bafkreigks6arfsq3xxfpvqrrwonchxcnu6do76auprhhfomao6c273sixm"
Headers = list[tuple[bytes, bytes]]


class Answer:
    """What the application sent: status, headers, the pieces of the body, whether it is complete."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.pieces: list[bytes] = []
        self.complete = False
        self.read = 0

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def error(self) -> str:
        sentence = json.loads(self.body)["error"]
        assert isinstance(sentence, str) and "Traceback" not in sentence and "\n" not in sentence
        return sentence


def surface(metrics: bytes | None = None, limits: Limits | None = None) -> tuple[Application, Reception]:
    clock = ManualClock()
    reception = Reception(ME, DOMAIN, clock, ReplayGuard(clock), lambda _: True, limits or Limits(rate=1e9, burst=1e9))

    async def echo(envelope: Envelope, body: bytes) -> bytes:
        return body

    async def blobs(requester: Address, ref: BlobRef, offset: int, length: int) -> bytes:
        if ref == RAW:
            return b"a"[offset : offset + length]
        if ref != REF:
            raise BlobUnavailable("this blob is not here")
        return BLOB[offset : offset + length]

    reception.open({"echo": echo}, blobs)
    return Application(reception, None if metrics is None else lambda: metrics), reception


async def call(
    application: Application,
    method: str,
    path: str,
    headers: Headers,
    body: list[bytes] | None = None,
    query: bytes = b"",
    gone: bool = False,
) -> Answer:
    answer = Answer()
    parts = list(body or [b""])

    async def receive() -> MutableMapping[str, Any]:
        if not parts:
            if gone:
                return {"type": "http.disconnect"}
            raise AssertionError("read beyond the body")
        part = parts.pop(0)
        answer.read += len(part)
        return {"type": "http.request", "body": part, "more_body": bool(parts) or gone}

    async def send(message: MutableMapping[str, Any]) -> None:
        assert not answer.complete
        if message["type"] == "http.response.start":
            assert answer.status == 0
            answer.status, answer.headers = message["status"], dict(message["headers"])
        else:
            answer.pieces.append(bytes(message["body"]))
            answer.complete = not message["more_body"]

    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": headers}
    await application(scope, receive, send)
    assert not answer.complete or len(answer.body) == int(answer.headers[b"content-length"])
    return answer


def signed(digest: bytes, kind: str = "echo") -> tuple[bytes, bytes]:
    envelope = seal(KEY, DOMAIN, recipient=ME, kind=kind, body_digest=digest, now=ManualClock().now())
    return NAME.encode(), to_header(envelope).encode()


def length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % size


def post(body: list[bytes], headers: Headers, gone: bool = False) -> Answer:
    return asyncio.run(call(surface()[0], "POST", "/v1/echo", headers, body, gone=gone))


def get_blob(name: str, query: bytes, ref: BlobRef, offset: int, size: int, asked: bytes | None) -> Answer:
    headers = [signed(range_digest(ref, offset, size), "blob")]
    if asked is not None:
        headers.append((b"range", asked))
    return asyncio.run(call(surface()[0], "GET", f"/ipfs/{name}", headers, query=query))


def test_a_body_in_pieces_is_answered_whole() -> None:
    answer = post([b"ab", b"", b"c"], [length(3), signed(sha256(b"abc"))])
    assert (answer.status, answer.body, answer.complete) == (200, b"abc", True)
    assert b"connection" not in answer.headers


def test_long_answers_are_given_in_chunks() -> None:
    body = bytes(2 * CHUNK + 5)
    answer = post([body], [length(len(body)), signed(sha256(body))])
    assert [len(piece) for piece in answer.pieces] == [CHUNK, CHUNK, 5]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/ipfs", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/metrics", 404),
        ("GET", "/healthz/", 404),
        ("GET", "/V1/echo", 404),
        ("POST", "/v1/", 404),
        ("POST", "/v1/absent", 404),
        ("POST", "/v1/echo/", 404),
        ("POST", "/v1/blob", 404),
        ("GET", "/v1/echo", 405),
        ("PUT", "/v1/echo", 405),
        ("DELETE", "/ipfs/" + "0" * 64, 405),
        ("POST", "/healthz", 405),
        ("HEAD", "/healthz", 405),
        ("OPTIONS", "/v1/echo", 405),
    ],
)
def test_there_is_no_other_route(method: str, path: str, status: int) -> None:
    answer = asyncio.run(call(surface()[0], method, path, [length(0)]))
    assert answer.status == status and answer.complete and answer.error
    assert answer.headers[b"connection"] == b"close"


def test_health_and_metrics_are_open_and_hold_no_connection() -> None:
    application, _ = surface(metrics=b"hansa_rounds_total 3\n")
    health = asyncio.run(call(application, "GET", "/healthz", []))
    assert (health.status, health.body, health.headers[b"connection"]) == (200, b'{"ok":true}', b"close")
    metrics = asyncio.run(call(application, "GET", "/metrics", []))
    assert (metrics.status, metrics.body) == (200, b"hansa_rounds_total 3\n")
    assert metrics.headers[b"content-type"].startswith(b"text/plain; version=0.0.4")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"transfer-encoding", b"chunked")],
        [length(3), (b"transfer-encoding", b"chunked")],
        [length(3), length(3)],
        [(b"content-length", b"-1")],
        [(b"content-length", b"3.0")],
        [(b"content-length", b" 3")],
        [(b"content-length", b"9" * 40)],
    ],
)
def test_a_body_without_one_plain_length_is_refused_unread(headers: Headers) -> None:
    answer = post([b"abc"], [*headers, signed(sha256(b"abc"))])
    assert (answer.status, answer.read) == (411, 0)
    assert "content-length" in answer.error


def test_a_body_over_the_limit_is_refused_unread_and_the_connection_closed() -> None:
    answer = post([b"x" * 1000] * 5000, [length(5_000_000), signed(sha256(b""))])
    assert (answer.status, answer.read, answer.headers[b"connection"]) == (413, 0, b"close")
    assert "5000000 bytes exceeds the limit of 4194304" in answer.error


def test_an_unsigned_or_forged_request_is_refused_before_a_large_body_is_read() -> None:
    body = bytes(1 << 20)
    name, value = signed(sha256(body))
    for headers in ([], [(name, b"abc")], [(name, value[:-4] + b"AAAA")], [(name, value), (name, value)]):
        answer = post([body], [length(len(body)), *headers])
        assert (answer.status, answer.read) == (401, 0)


def test_a_small_refused_body_is_read_so_that_the_sentence_arrives() -> None:
    answer = post([b"a" * 100, b"b" * 100], [length(200)])
    assert (answer.status, answer.read) == (401, 200)
    assert f"one {NAME} header is needed" in answer.error


def test_a_body_longer_than_declared_is_cut_off() -> None:
    answer = post([b"abc", b"defg"], [length(3), signed(sha256(b"abc"))])
    assert not answer.complete and answer.status == 0


def test_a_sender_who_leaves_in_the_middle_gets_no_answer_and_leaves_no_place_taken() -> None:
    application, reception = surface()
    answer = asyncio.run(call(application, "POST", "/v1/echo", [length(6), signed(sha256(b"abcdef"))], [b"abc"], gone=True))
    assert answer.status == 0 and reception.busy == 0


@pytest.mark.parametrize("path", ["/healthz", "/ipfs/" + REF.digest.hex()])
@pytest.mark.parametrize("headers", [[length(5)], [(b"transfer-encoding", b"chunked")]])
def test_a_get_with_a_body_is_refused(path: str, headers: Headers) -> None:
    answer = asyncio.run(call(surface()[0], "GET", path, headers, [b"abcde"]))
    assert answer.status == 400 and "no body" in answer.error


@pytest.mark.parametrize(
    ("asked", "offset", "size", "status", "shown"),
    [
        (None, 0, len(BLOB), 200, None),
        (b"bytes=0-0", 0, 1, 206, b"bytes 0-0/2560000"),
        (b"bytes=100-", 100, len(BLOB) - 100, 206, b"bytes 100-2559999/2560000"),
        (b"bytes=2559999-9999999", 2559999, 1, 206, b"bytes 2559999-2559999/2560000"),
        (b"bytes=1-1048577", 1, WINDOW + 1, 206, b"bytes 1-1048577/2560000"),
    ],
)
def test_ranges_of_a_blob(asked: bytes | None, offset: int, size: int, status: int, shown: bytes | None) -> None:
    answer = get_blob(REF.digest.hex(), b"size=%d" % REF.size, REF, offset, size, asked)
    assert (answer.status, answer.headers.get(b"content-range"), answer.complete) == (status, shown, True)
    assert answer.body == BLOB[offset : offset + size]
    assert max(map(len, answer.pieces)) <= CHUNK
    assert b"connection" not in answer.headers


@pytest.mark.parametrize("asked", [b"bytes=5-4", b"bytes=2560000-", b"bytes=-5", b"bytes=0-1,3-4", b"items=0-1", b"bytes=a-b", b""])
def test_a_range_that_cannot_be_served_is_refused(asked: bytes) -> None:
    answer = get_blob(REF.digest.hex(), b"size=%d" % REF.size, REF, 0, 1, asked)
    assert answer.status == 416 and answer.error


def test_a_blob_is_named_by_digest_or_by_the_cid_of_its_size() -> None:
    assert get_blob(RAW_CID, b"size=1", RAW, 0, 1, None).body == b"a"
    assert get_blob(RAW.digest.hex(), b"size=1", RAW, 0, 1, None).body == b"a"
    for name, query in (
        (RAW_CID, b"size=1048577"),
        (RAW_CID[:-1], b"size=1"),
        (RAW_CID.upper(), b"size=1"),
        ("b" + "a" * 58, b"size=1"),
        ("Qm" + "a" * 44, b"size=1"),
        ("..%2fkey", b"size=1"),
        (RAW_CID, b""),
        (RAW_CID, b"size=-1"),
        (RAW_CID, b"size=1&size=2"),
    ):
        assert get_blob(name, query, RAW, 0, 1, None).status == 400


def test_an_envelope_opens_only_the_range_that_was_signed() -> None:
    name, query = REF.digest.hex(), b"size=%d" % REF.size
    assert get_blob(name, query, REF, 0, 10, b"bytes=0-9").status == 206
    assert get_blob(name, query, REF, 0, 10, b"bytes=0-10").status == 401
    assert get_blob(name, query, RAW, 0, 10, b"bytes=0-9").status == 401
    assert get_blob(name, query, REF, 0, len(BLOB), b"bytes=0-9").status == 401


def test_an_absent_blob_is_refused_with_the_stores_sentence() -> None:
    absent = BlobRef(bytes(32), 5)
    answer = get_blob(absent.digest.hex(), b"size=5", absent, 0, 5, None)
    assert (answer.status, answer.error) == (404, "this blob is not here")


def test_a_store_that_fails_in_the_middle_leaves_the_answer_incomplete(caplog: pytest.LogCaptureFixture) -> None:
    application, reception = surface()

    async def failing(requester: Address, ref: BlobRef, offset: int, size: int) -> bytes:
        if offset:
            raise OSError("disk gone")
        return BLOB[:size]

    reception.open({}, failing)
    headers = [signed(range_digest(REF, 0, REF.size), "blob")]
    answer = asyncio.run(call(application, "GET", f"/ipfs/{REF.digest.hex()}", headers, query=b"size=%d" % REF.size))
    assert answer.status == 200 and not answer.complete and len(answer.body) == WINDOW
    assert reception.busy == 0
    assert "disk gone" in caplog.text


header_values = st.binary(max_size=300) | st.sampled_from([b"0", b"5", b"bytes=0-4", b"chunked", signed(sha256(b"hello"))[1]])
header_names = st.sampled_from([NAME.encode(), b"content-length", b"range", b"transfer-encoding", b"expect"]) | st.binary(max_size=20)
paths = st.sampled_from(["/v1/echo", f"/ipfs/{REF.digest.hex()}", "/ipfs/" + RAW_CID, "/healthz", "/metrics"]) | st.text(max_size=40)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["GET", "POST", "HEAD", "PUT"]),
    paths,
    st.lists(st.tuples(header_names, header_values), max_size=5),
    st.lists(st.binary(max_size=50), min_size=1, max_size=3),
    st.binary(max_size=20) | st.just(b"size=1"),
    st.booleans(),
)
def test_no_request_brings_about_a_500_a_traceback_or_a_lost_place(
    method: str, path: str, headers: Headers, body: list[bytes], query: bytes, gone: bool
) -> None:
    application, reception = surface()
    logged: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = logged.append  # type: ignore[method-assign]
    logger = logging.getLogger("hansa.transport")
    logger.addHandler(handler)
    try:
        answer = asyncio.run(call(application, method, path, headers, body, query, gone))
    finally:
        logger.removeHandler(handler)
    assert answer.status < 500 and not logged and reception.busy == 0
    if answer.complete and answer.status >= 400:
        assert answer.error
