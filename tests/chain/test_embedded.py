"""The embedded chain as a process: killed at seeded moments it goes on exactly where it stood."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from hansa.chain import artifacts
from hansa.chain.anvil import kill_recorded
from hansa.chain.bindings.hansa_token import HansaToken
from hansa.chain.embedded import EmbeddedChain
from hansa.chain.ledger import JsonRpcLedger
from hansa.chain.transactions import Transaction, sign
from hansa.core.clock import ManualClock
from hansa.core.errors import ConfigError, LedgerError, LedgerUnreachable
from hansa.core.ports import Block, Call, Receipt
from hansa.core.types import ZERO_ADDRESS, Address
from hansa.identity.keys import AccountKey
from hansa.runtime.journal import MemoryJournal

ALICE, BOB = AccountKey(b"\x01" * 32), AccountKey(b"\x02" * 32)
SUPPLY = 1_000_000
PRICED = ("--base-fee", str(10**9), "--fund", f"{ALICE.address}={10**20}")

MakeSupervisor = Callable[..., Any]
"""The fixture: options of the command to an `embedded` process, not yet started."""


async def token(ledger: JsonRpcLedger) -> HansaToken:
    creation = artifacts.load("HansaToken").creation("Hansa", "HANSA", SUPPLY, ALICE.address, SUPPLY, ZERO_ADDRESS)
    return HansaToken(Address((await ledger.send(Call("", creation), ALICE, intent="token")).created))


async def blocks(ledger: JsonRpcLedger) -> list[Block]:
    return [await ledger.block(number) for number in range((await ledger.head()).number + 1)]


def payment(coin: HansaToken) -> Call:
    return msgspec.structs.replace(coin.transfer(BOB.address, 1), gas=100_000)


async def patiently(ledger: JsonRpcLedger, call: Call, intent: str) -> Receipt:
    """Send as a role does: what could not even be prepared during an outage is tried again."""
    for _ in range(500):
        try:
            return await ledger.send(call, ALICE, intent=intent)
        except LedgerUnreachable:
            await asyncio.sleep(0.01)
    raise AssertionError("the chain did not come back")


def survive(supervisor: MakeSupervisor, victims: str, seed: int, *options: str, payments: int = 60, crashes: int = 3) -> None:
    """Pay one unit many times from several tasks while `victims` are killed at moments that the seed decides."""
    chain = supervisor(*options)
    chain.start()
    order = random.Random(seed)
    moments = sorted(order.sample(range(5, payments - 5), crashes))

    async def main() -> list[Block]:
        journal = MemoryJournal()
        ledger = await JsonRpcLedger.open([chain.url], journal)
        coin = await token(ledger)
        seen: dict[int, bytes] = {}
        done = 0

        async def pay(number: int) -> None:
            nonlocal done
            receipt = await patiently(ledger, payment(coin), f"pay {number}")
            seen[receipt.block] = receipt.logs[0].block_hash
            done += 1
            async with crashing:  # one crash at a time: the next may strike as soon as the chain serves again
                if moments and done >= moments[0]:
                    moments.pop(0)
                    node = chain.node
                    if victims in ("node", "both"):
                        node.kill()
                    if victims in ("supervisor", "both"):
                        chain.kill()
                        await asyncio.to_thread(chain.start)

        crashing = asyncio.Lock()
        limit = asyncio.Semaphore(order.choice((1, 3, 8)))

        async def paced(number: int) -> None:
            async with limit:
                await pay(number)

        await asyncio.gather(*map(paced, range(payments)))
        assert not moments
        assert await coin.balance_of(BOB.address).read(ledger) == payments
        history = await blocks(ledger)
        assert {number: history[number].hash for number in seen} == seen
        repeated = await ledger.send(payment(coin), ALICE, intent="pay 0")
        assert seen[repeated.block] == history[repeated.block].hash
        assert await coin.balance_of(BOB.address).read(ledger) == payments
        await ledger.close()
        return history

    history = asyncio.run(main())
    chain.kill()
    assert chain.start().head == len(history) - 1

    async def same() -> None:
        ledger = await JsonRpcLedger.open([chain.url], MemoryJournal())
        assert await blocks(ledger) == history
        await ledger.close()

    asyncio.run(same())


@pytest.mark.parametrize(("victims", "seed"), [("supervisor", 1), ("node", 2), ("both", 3)])
def test_killed_at_any_moment_it_goes_on_exactly(supervisor: MakeSupervisor, victims: str, seed: int) -> None:
    survive(supervisor, victims, seed)


def test_priced_gas_is_exact_too_over_checkpoints_and_crashes(supervisor: MakeSupervisor) -> None:
    chain = supervisor(*PRICED)
    chain.start()

    async def pay(first: int) -> list[Block]:
        ledger = await JsonRpcLedger.open([chain.url], MemoryJournal())
        for number in range(20):
            await ledger.send(Call(BOB.address, b"", gas=21_000), ALICE, intent=f"{first + number}")
        history = await blocks(ledger)
        await ledger.close()
        return history

    history = asyncio.run(pay(0))
    assert chain.stop() == 0  # with a checkpoint: the base fee, which moves from block to block, must come back with it
    chain.start()
    later = asyncio.run(pay(20))
    assert later[: len(history)] == history
    chain.kill()
    chain.start()

    async def same() -> None:
        ledger = await JsonRpcLedger.open([chain.url], MemoryJournal())
        assert await blocks(ledger) == later
        await ledger.close()

    asyncio.run(same())


def test_killed_with_priced_gas_it_goes_on_exactly(supervisor: MakeSupervisor) -> None:
    survive(supervisor, "both", 4, *PRICED)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 16))
@pytest.mark.parametrize("victims", ["supervisor", "node", "both"])
def test_killed_often_it_goes_on_exactly(supervisor: MakeSupervisor, victims: str, seed: int) -> None:
    survive(supervisor, victims, seed, payments=400, crashes=8)


def test_a_killed_supervisor_leaves_no_orphan(supervisor: MakeSupervisor) -> None:
    chain = supervisor()
    chain.start()
    node = chain.node
    chain.kill()
    deadline = time.monotonic() + 10
    while node.is_running() and node.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        os.sched_yield()
    assert not node.is_running() or node.status() == psutil.STATUS_ZOMBIE


def test_a_recorded_orphan_is_ended_and_a_stranger_with_its_number_is_not(tmp_path: Path) -> None:
    record = tmp_path / "anvil.json"
    with psutil.Popen(["sleep", "600"]) as stranger:
        folder = tmp_path / "hansa-chain-x"
        folder.mkdir()
        record.write_bytes(msgspec.json.encode({"pid": stranger.pid, "started": 0.0, "folder": str(folder)}))
        kill_recorded(record)
        assert stranger.poll() is None and not record.exists() and not folder.exists()
        record.write_bytes(msgspec.json.encode({"pid": stranger.pid, "started": stranger.create_time(), "folder": str(tmp_path)}))
        kill_recorded(record)
        assert stranger.wait(timeout=10) == -9 and tmp_path.exists()  # a folder of another name is none of ours
    kill_recorded(record)  # nothing recorded, nothing to do


def test_stopped_in_order_it_starts_from_a_checkpoint(supervisor: MakeSupervisor) -> None:
    chain = supervisor()
    chain.start()

    async def some(first: int) -> list[Block]:
        ledger = await JsonRpcLedger.open([chain.url], MemoryJournal())
        coin = await token(ledger)
        for number in range(5):
            await ledger.send(payment(coin), ALICE, intent=f"pay {first + number}")
        history = await blocks(ledger)
        await ledger.close()
        return history

    before = asyncio.run(some(0))
    assert chain.stop() == 0
    assert (chain.home / "checkpoint-6").exists()
    assert chain.start().head == 6
    # A fresh journal: the sender learns its nonces from the chain, and its intents are new ones.
    after = asyncio.run(some(5))
    assert after[: len(before)] == before and len(after) == len(before) + 6


def test_stopped_in_the_middle_of_a_burst_it_has_lost_nothing_it_answered(supervisor: MakeSupervisor) -> None:
    chain = supervisor()
    chain.start()

    async def main() -> None:
        journal = MemoryJournal()
        ledger = await JsonRpcLedger.open([chain.url], journal)
        coin = await token(ledger)
        done: dict[int, bytes] = {}

        async def pay(number: int) -> None:
            receipt = await ledger.send(payment(coin), ALICE, intent=f"pay {number}")
            done[receipt.block] = receipt.logs[0].block_hash

        burst = asyncio.gather(*map(pay, range(300)))
        while len(done) < 3:
            await asyncio.sleep(0)
        assert await asyncio.to_thread(chain.stop) == 0
        await asyncio.to_thread(chain.start)
        await burst
        history = await blocks(ledger)
        assert {number: history[number].hash for number in done} == done
        assert await coin.balance_of(BOB.address).read(ledger) == 300
        await ledger.close()

    asyncio.run(main())


def test_a_damaged_checkpoint_falls_back_to_the_one_before(supervisor: MakeSupervisor) -> None:
    chain = supervisor()
    chain.start()

    async def pay(first: int) -> list[Block]:
        ledger = await JsonRpcLedger.open([chain.url], MemoryJournal())
        for number in range(3):
            await ledger.send(Call(BOB.address, b"", gas=21_000), ALICE, intent=f"{first + number}")
        history = await blocks(ledger)
        await ledger.close()
        return history

    history: list[Block] = []
    for round in range(3):
        history = asyncio.run(pay(3 * round))
        assert chain.stop() == 0
        chain.start()
    assert chain.stop() == 0
    newest = chain.home / "checkpoint-9"
    newest.write_bytes(newest.read_bytes()[:-1] + b"\x00")
    assert not (chain.home / "checkpoint-3").exists()
    assert chain.start().head == 9

    async def same() -> None:
        ledger = await JsonRpcLedger.open([chain.url], MemoryJournal())
        assert await blocks(ledger) == history
        await ledger.close()

    asyncio.run(same())
    chain.kill()
    for path in chain.home.glob("checkpoint-*"):
        path.write_bytes(b"")
    with pytest.raises(RuntimeError, match="no checkpoint of this chain is readable"):
        chain.start()


def test_a_full_disk_refuses_in_one_sentence_and_loses_nothing(supervisor: MakeSupervisor) -> None:
    chain = supervisor()
    chain.start()

    async def main() -> None:
        ledger = await JsonRpcLedger.open([chain.url], MemoryJournal(), patience=5)
        await ledger.send(Call(BOB.address, b"", gas=21_000), ALICE, intent="before")
        size = (chain.home / "journal-0").stat().st_size
        limits = resource.prlimit(chain.pid, resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))
        with pytest.raises(LedgerError, match="cannot write its journal .*: nothing was accepted; free space and send again"):
            await ledger.send(Call(BOB.address, b"", gas=21_000), ALICE, intent="full")
        assert (chain.home / "journal-0").stat().st_size == size
        assert (await ledger.head()).number == 1  # reads go on
        resource.prlimit(chain.pid, resource.RLIMIT_FSIZE, limits)
        assert (await ledger.send(Call(BOB.address, b"", gas=21_000), ALICE, intent="full")).block == 2
        await ledger.close()

    asyncio.run(main())
    chain.kill()
    assert chain.start().head == 2


def test_a_port_in_use_is_said(supervisor: MakeSupervisor, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeError, match=f"port {port} is in use"):
            supervisor("--port", str(port)).start()


def test_a_home_in_use_or_of_another_chain_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        chain = await EmbeddedChain.open(tmp_path, clock=ManualClock())
        with pytest.raises(ConfigError, match="another process runs the chain"):
            await EmbeddedChain.open(tmp_path)
        await chain.close()
        with pytest.raises(ConfigError, match="other settings"):
            await EmbeddedChain.open(tmp_path, chain_id=5)
        (tmp_path / "chain.json").write_text("{}")
        with pytest.raises(ConfigError, match="not the description of a chain"):
            await EmbeddedChain.open(tmp_path)

    asyncio.run(main())


def test_many_blocks_bring_checkpoints_of_their_own(tmp_path: Path) -> None:
    async def main() -> None:
        chain = await EmbeddedChain.open(tmp_path, clock=ManualClock())
        ledger = await JsonRpcLedger.open([chain.url], MemoryJournal())
        # A gap in the nonces: the transaction above it must survive a checkpoint in the waiting room.
        ahead = sign(Transaction(chain.genesis.chain_id, 1, BOB.address, b"", 21_000), BOB)
        assert await chain.miner.submit(ahead.raw) == ahead.hash
        coin = await token(ledger)
        paid = [await ledger.send(payment(coin), ALICE, intent=f"{number}") for number in range(260)]
        (made,) = tmp_path.glob("checkpoint-*")
        assert 256 <= int(made.name.removeprefix("checkpoint-")) < 260
        history = await blocks(ledger)
        node = await chain.miner.node()
        node.process.kill()
        await ledger.send(Call(ALICE.address, b"", gas=21_000), BOB, intent="fills the gap")
        assert (await blocks(ledger))[: len(history)] == history
        assert await ledger.send(payment(coin), ALICE, intent="0") == paid[0]  # receipts and logs of old blocks are kept as well
        assert await ledger.logs([coin.address], 2, 300) == [log for receipt in paid for log in receipt.logs]
        counted = await node_count(chain)
        assert counted == 2
        await ledger.close()
        await chain.close()

    async def node_count(chain: EmbeddedChain) -> int:
        node = await chain.miner.node()
        return int(await node.ipc.request("eth_getTransactionCount", (BOB.address, "latest"), str), 16)

    asyncio.run(main())
