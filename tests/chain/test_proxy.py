"""The door of the embedded chain: what it lets in, and that everything is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from hansa.chain import proxy
from hansa.chain.embedded import EmbeddedChain
from hansa.chain.transactions import Transaction, sign
from hansa.core.clock import ManualClock
from hansa.identity.keys import AccountKey

ALICE = AccountKey(b"\x01" * 32)


class Client:
    """Raw bytes over one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def say(self, request: bytes) -> tuple[int, bytes]:
        self._writer.write(request)
        return await self.hear()

    async def hear(self) -> tuple[int, bytes]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        if status == 100:
            return await self.hear()
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return status, await self._reader.readexactly(length)

    async def ended(self) -> bool:
        return await self._reader.read(1) == b""


def post(body: object, extra: str = "Content-Type: application/json\r\n") -> bytes:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return f"POST / HTTP/1.1\r\nHost: x\r\n{extra}Content-Length: {len(data)}\r\n\r\n".encode() + data


def call(method: str, *params: object, number: object = 1) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def talk(home: Path, work: Callable[[EmbeddedChain, Client], Awaitable[None]]) -> None:
    async def main() -> None:
        chain = await EmbeddedChain.open(home, clock=ManualClock())
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(chain.url.rpartition(":")[2]))
            try:
                await work(chain, Client(reader, writer))
            finally:
                writer.close()
        finally:
            await chain.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "method",
    [
        "evm_mine",
        "anvil_setBalance",
        "anvil_dumpState",
        "evm_revert",
        "debug_traceTransaction",
        "eth_sendTransaction",
        "eth_sign",
        "txpool_content",
        "",
    ],
)
def test_administration_is_not_offered(tmp_path: Path, method: str) -> None:
    async def work(chain: EmbeddedChain, client: Client) -> None:
        status, body = await client.say(post(call(method)))
        assert status == 200 and msgspec.json.decode(body)["error"]["code"] == -32601

    talk(tmp_path, work)


def test_reads_and_batches_are_answered_with_their_numbers(tmp_path: Path) -> None:
    async def work(chain: EmbeddedChain, client: Client) -> None:
        status, body = await client.say(post([call("eth_chainId", number="a"), call("eth_maxPriorityFeePerGas", number=7)]))
        assert status == 200
        assert msgspec.json.decode(body) == [
            {"jsonrpc": "2.0", "id": "a", "result": "0x7a69"},
            {"jsonrpc": "2.0", "id": 7, "result": "0x0"},  # a free chain suggests no tip, whatever its node says
        ]
        for batch in ([], [call("eth_chainId")] * 101):
            assert msgspec.json.decode((await client.say(post(batch)))[1])["error"]["message"] == "a batch has 1 to 100 requests"

    talk(tmp_path, work)


def test_a_batch_of_transactions_is_mined_in_its_order(tmp_path: Path) -> None:
    async def work(chain: EmbeddedChain, client: Client) -> None:
        signed = [sign(Transaction(31337, nonce, ALICE.address, b"", 21_000), ALICE) for nonce in range(20)]
        batch = [call("eth_sendRawTransaction", "0x" + one.raw.hex(), number=place) for place, one in enumerate(signed)]
        answers = msgspec.json.decode((await client.say(post(batch)))[1])
        assert [answer["result"] for answer in answers] == ["0x" + one.hash.hex() for one in signed]
        _, body = await client.say(post(call("hansa_sendRawTransaction", "0x" + signed[0].raw.hex())))
        assert msgspec.json.decode(body)["error"]["message"] == "nonce too low"

    talk(tmp_path, work)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (post(call("eth_chainId"), "Content-Type: text/plain\r\n"), 415),
        (b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 999999999999999\r\n\r\n", 413),
        (b"EHLO me\r\n\r\n", 400),
    ],
)
def test_what_is_no_proper_request_is_refused_before_its_body(tmp_path: Path, request_bytes: bytes, status: int) -> None:
    async def work(chain: EmbeddedChain, client: Client) -> None:
        assert (await client.say(request_bytes))[0] == status
        assert await client.ended()

    talk(tmp_path, work)


def test_an_endless_head_is_cut(tmp_path: Path) -> None:
    async def work(chain: EmbeddedChain, client: Client) -> None:
        assert (await client.say(b"POST / HTTP/1.1\r\nX: " + b"y" * (proxy.MAX_HEAD + 70_000)))[0] == 431

    talk(tmp_path, work)


@pytest.mark.parametrize("body", [b"", b"nonsense", b"{}", b"[1]", b"[" * 5000, b'{"method": 5}'])
def test_what_is_no_json_rpc_is_said_and_the_connection_stays(tmp_path: Path, body: bytes) -> None:
    async def work(chain: EmbeddedChain, client: Client) -> None:
        assert b'"error"' in (await client.say(post(body)))[1]
        assert b"0x7a69" in (await client.say(post(call("eth_chainId"))))[1]

    talk(tmp_path, work)


@pytest.mark.parametrize("params", [[], ["zz"], ["0x"], ["0x" + "00" * 200_000], [5], [{"from": "0x"}]])
def test_what_is_no_signed_transaction_is_refused_before_the_journal(tmp_path: Path, params: list[object]) -> None:
    async def work(chain: EmbeddedChain, client: Client) -> None:
        assert b"-32600" in (await client.say(post(call("eth_sendRawTransaction", *params))))[1]
        assert (chain.home / "journal-0").stat().st_size == 0

    talk(tmp_path, work)


def test_requests_sent_ahead_are_answered_in_order(tmp_path: Path) -> None:
    async def work(chain: EmbeddedChain, client: Client) -> None:
        numbers = list(range(50))
        first = client.say(b"".join([post(call("eth_blockNumber", number=number)) for number in numbers]))
        answers = [await first, *[await client.hear() for _ in numbers[1:]]]
        assert [msgspec.json.decode(body)["id"] for _, body in answers] == numbers

    talk(tmp_path, work)


def test_a_length_announced_with_expect_is_welcomed(tmp_path: Path) -> None:
    async def work(chain: EmbeddedChain, client: Client) -> None:
        head = "Content-Type: application/json\r\nExpect: 100-continue\r\n"
        assert b"0x7a69" in (await client.say(post(call("eth_chainId"), head)))[1]

    talk(tmp_path, work)
