"""The JSON-RPC ledger over what only a real chain does: reorganisations, endpoints that come and go, bounded log answers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hansa.chain import artifacts
from hansa.chain.bindings.hansa_token import HansaToken
from hansa.chain.cursor import Cursor, Rollback
from hansa.chain.embedded import EmbeddedChain
from hansa.chain.ledger import JsonRpcLedger
from hansa.chain.wire import RpcError
from hansa.core.clock import ManualClock
from hansa.core.errors import WrongChain
from hansa.core.ports import Call
from hansa.core.types import ZERO_ADDRESS, Address
from hansa.identity.keys import AccountKey
from hansa.runtime.journal import MemoryJournal

ALICE, BOB = AccountKey(b"\x01" * 32), AccountKey(b"\x02" * 32)


async def token(ledger: JsonRpcLedger) -> HansaToken:
    creation = artifacts.load("HansaToken").creation("Hansa", "HANSA", 1000, ALICE.address, 1000, ZERO_ADDRESS)
    return HansaToken(Address((await ledger.send(Call("", creation), ALICE, intent="token")).created))


def over(home: Path, work: Callable[[EmbeddedChain, JsonRpcLedger], Awaitable[None]]) -> None:
    async def main() -> None:
        chain = await EmbeddedChain.open(home, clock=ManualClock())
        try:
            ledger = await JsonRpcLedger.open([chain.url], MemoryJournal())
            await work(chain, ledger)
            await ledger.close()
        finally:
            await chain.close()

    asyncio.run(main())


async def reorganise(chain: EmbeddedChain, depth: int) -> None:
    """Replace blocks behind everybody's back and drop their transactions, as a distant chain may."""
    node = await chain.miner.node()
    await node.ipc.request("anvil_reorg", (depth, []), object)


@pytest.mark.parametrize("repeat", [True, False])
def test_what_a_reorganisation_dropped_is_sent_again_with_the_same_bytes(tmp_path: Path, repeat: bool) -> None:
    async def work(chain: EmbeddedChain, ledger: JsonRpcLedger) -> None:
        coin = await token(ledger)
        events = Cursor(ledger, {coin.address: "HansaToken"})
        first = [await ledger.send(coin.transfer(BOB.address, 1), ALICE, intent=f"{place}") for place in range(4)]
        seen, position = await events.read()
        assert len(seen) == 5
        await reorganise(chain, 2)
        assert await coin.balance_of(BOB.address).read(ledger) == 2
        if repeat:
            again = [await ledger.send(coin.transfer(BOB.address, 1), ALICE, intent=f"{place}") for place in range(4)]
            assert [receipt.transaction for receipt in again] == [receipt.transaction for receipt in first]
            assert again[:2] == first[:2] and again[2].block > first[3].block
        else:  # a new intent needs the lost nonces below it, so they go out too
            await ledger.send(coin.transfer(BOB.address, 1), ALICE, intent="new")
        assert await coin.balance_of(BOB.address).read(ledger) == (4 if repeat else 5)
        news, position = await events.read(position)
        assert isinstance(news[0], Rollback) and news[0].to_block < first[2].block
        balance = 0
        for event in [*seen, *news]:
            if isinstance(event, Rollback):
                balance = sum(1 for earlier in seen if not isinstance(earlier, Rollback) and 2 <= earlier.block <= event.to_block)
            elif event.args["to"] == BOB.address:
                balance += 1
        assert balance == await coin.balance_of(BOB.address).read(ledger)

    over(tmp_path, work)


def test_a_second_endpoint_takes_over_in_the_middle(tmp_path: Path) -> None:
    async def main() -> None:
        chain = await EmbeddedChain.open(tmp_path, clock=ManualClock())
        relays: list[asyncio.Server] = []
        pipes: list[asyncio.StreamWriter] = []

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            back, forth = await asyncio.open_connection("127.0.0.1", int(chain.url.rpartition(":")[2]))
            pipes.extend((writer, forth))

            async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                while data := await source.read(1 << 16):
                    sink.write(data)
                sink.close()

            await asyncio.gather(pump(reader, forth), pump(back, writer), return_exceptions=True)

        for _ in range(2):
            relays.append(await asyncio.start_server(relay, "127.0.0.1", 0))
        try:
            urls = [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in relays]
            ledger = await JsonRpcLedger.open(urls, MemoryJournal())
            coin = await token(ledger)
            for place in range(10):
                if place == 5:
                    relays[0].close()
                    for pipe in pipes:
                        pipe.close()
                await ledger.send(coin.transfer(BOB.address, 1), ALICE, intent=f"{place}")
            assert await coin.balance_of(BOB.address).read(ledger) == 10
            await ledger.close()
        finally:
            for server in relays:
                server.close()
            for pipe in pipes:
                pipe.close()
            await chain.close()

    asyncio.run(main())


def test_an_endpoint_that_bounds_its_answers_is_asked_for_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(chain: EmbeddedChain, ledger: JsonRpcLedger) -> None:
        coin = await token(ledger)
        for place in range(9):
            await ledger.send(coin.transfer(BOB.address, 1), ALICE, intent=f"{place}")
        whole = await ledger.logs([coin.address], 0, 10)
        real, asked = ledger._endpoints.request, 0

        async def bounded(method: str, params: object, shape: type, **options: float) -> object:
            nonlocal asked
            if method == "eth_getLogs":
                asked += 1
                wanted = params[0]  # type: ignore[index]
                if int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) > 2:
                    raise RpcError(-32005, "query returned more than 3 results")
            return await real(method, params, shape, **options)

        monkeypatch.setattr(ledger._endpoints, "request", bounded)
        assert await ledger.logs([coin.address], 0, 10) == whole and len(whole) == 10 and asked == 7

    over(tmp_path, work)


def test_a_journal_of_another_chain_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        journal, clock = MemoryJournal(), ManualClock()
        for home in ("one", "two"):
            clock.advance(1)  # another genesis
            chain = await EmbeddedChain.open(tmp_path / home, clock=clock)
            try:
                if home == "one":
                    await (await JsonRpcLedger.open([chain.url], journal)).close()
                else:
                    with pytest.raises(WrongChain, match="another first block"):
                        await JsonRpcLedger.open([chain.url], journal)
                    with pytest.raises(WrongChain, match="serves chain 31337, not 1"):
                        await JsonRpcLedger.open([chain.url], MemoryJournal(), chain_id=1)
            finally:
                await chain.close()

    asyncio.run(main())


def test_the_hot_path_stays_light() -> None:
    """Nothing that every node imports draws in web3 or an EVM."""
    imports = "import sys, hansa.chain.ledger, hansa.chain.deployment, hansa.chain.cursor"
    program = imports + "; print(*{'web3', 'eth_account', 'pyrevm'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == ""
