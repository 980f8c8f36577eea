"""The chain: what a transaction costs its sender, how long it takes, how fast many go, how soon a killed chain is back.

Cost: build, sign, journal durably, send through the embedded chain's door, wait for the receipt, as CPU time of the client's process;
beside it web3 doing the same (nonce, gas and price given, so that it asks for nothing) over HTTP to the same door. Latency: beside the
bare node mining by itself without any journal. Measured in turn, medians of rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from web3 import HTTPProvider, Web3

from hansa.chain import artifacts
from hansa.chain.anvil import find_anvil
from hansa.chain.bindings.hansa_token import HansaToken
from hansa.chain.ledger import JsonRpcLedger
from hansa.core.ports import Call
from hansa.core.types import ZERO_ADDRESS, Address
from hansa.identity.keys import AccountKey
from hansa.runtime.journal import SqliteJournal

ROUNDS, BATCH, BURST = 9, 40, 1_000
GAS = 100_000
OURS, THEIRS, BOB = AccountKey(b"\x01" * 32), b"\x02" * 32, AccountKey(b"\x03" * 32)


class Chain:
    """The embedded chain as a process, on a port that stays."""

    def __init__(self, home: Path) -> None:
        self._home, self._port = home, 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "hansa.chain.embedded", "--home", str(self._home), "--port", str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = json.loads(self._process.stdout.readline())["url"]
        self._port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def claim(name: str, value: float, unit: str, against: str | None, ratio: float | None, bar: float | None, holds: bool | None) -> str:
    return json.dumps({"claim": name, "value": value, "unit": unit, "against": against, "ratio": ratio, "bar": bar, "holds": holds})


async def token(ledger: JsonRpcLedger) -> HansaToken:
    creation = artifacts.load("HansaToken").creation("Hansa", "HANSA", 10**9, OURS.address, 10**9, ZERO_ADDRESS)
    return HansaToken(Address((await ledger.send(Call("", creation), OURS, intent="token")).created))


def payer(ledger: JsonRpcLedger, coin: HansaToken) -> Callable[[str], Awaitable[object]]:
    return lambda intent: ledger.send(msgspec.structs.replace(coin.transfer(BOB.address, 1), gas=GAS), OURS, intent=intent)


def web3_payer(url: str, coin: HansaToken) -> Callable[[], None]:
    web3 = Web3(HTTPProvider(url))
    account = web3.eth.account.from_key(THEIRS)
    interface = json.loads(msgspec.json.encode([msgspec.to_builtins(entry) for entry in artifacts.load("HansaToken").of_kind("function")]))
    contract = web3.eth.contract(address=Web3.to_checksum_address(coin.address), abi=interface)
    nonce, chain, to = 0, web3.eth.chain_id, Web3.to_checksum_address(BOB.address)

    def pay() -> None:
        nonlocal nonce
        fields = {"from": account.address, "nonce": nonce, "gas": GAS, "gasPrice": 0, "chainId": chain}
        signed = account.sign_transaction(contract.functions.transfer(to, 0).build_transaction(fields))
        receipt = web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(signed.raw_transaction), poll_latency=0.002)
        if receipt["status"] != 1:
            raise SystemExit("web3's transaction failed; the comparison is void")
        nonce += 1

    return pay


async def costs(chain: Chain, folder: Path) -> list[str]:
    journal = SqliteJournal(folder / "journal.sqlite")
    ledger = await JsonRpcLedger.open([chain.url], journal)
    coin = await token(ledger)
    pay, peer = payer(ledger, coin), web3_payer(chain.url, coin)
    for place in range(10):
        await pay(f"warm {place}")
        peer()
    ours, theirs, latency = [], [], []
    for number in range(ROUNDS):
        start = time.process_time()
        for place in range(BATCH):
            begun = time.perf_counter()
            await pay(f"{number} {place}")
            latency.append(time.perf_counter() - begun)
        ours.append((time.process_time() - start) / BATCH)
        start = time.process_time()
        for _ in range(BATCH):
            peer()
        theirs.append((time.process_time() - start) / BATCH)
    start = time.perf_counter()
    await asyncio.gather(*[pay(f"burst {place}") for place in range(BURST)])
    burst = BURST / (time.perf_counter() - start)
    await ledger.close()
    journal.close()
    mine, peers, wait = (1000 * statistics.median(values) for values in (ours, theirs, latency))
    bare = await bare_latency(folder)
    text = f"web3 over HTTP: {peers:.3g} ms"
    return [
        claim("client CPU of one transaction, journalled and mined", mine, "ms", None, None, 1.3, mine <= 1.3),
        claim("client CPU of one transaction beside web3", mine, "ms", text, peers / mine, 2.5, peers / mine >= 2.5),
        claim(
            "from sending to the receipt, both sides' journals flushed",
            wait,
            "ms",
            f"bare node without journals: {bare:.3g} ms",
            wait / bare,
            None,
            None,
        ),
        claim("transactions a second, 1,000 tasks of one sender at once", burst, "1/s", None, None, None, None),
    ]


async def bare_latency(folder: Path) -> float:
    """Milliseconds from sending to the receipt with the same client, the node mining by itself."""
    command = [str(find_anvil()), "--port", "0", "--chain-id", "31337", "--hardfork", "shanghai", "--accounts", "0"]
    with subprocess.Popen(
        [*command, "--gas-price", "0", "--base-fee", "0", "--disable-min-priority-fee"], stdout=subprocess.PIPE, text=True
    ) as node:
        try:
            assert node.stdout is not None
            found = next(match for line in node.stdout if (match := re.search(r"Listening on (\S+)", line)))
            journal = SqliteJournal(folder / "bare.sqlite")
            ledger = await JsonRpcLedger.open([f"http://{found[1]}"], journal)
            pay, waits = payer(ledger, await token(ledger)), []
            for place in range(100):
                begun = time.perf_counter()
                await pay(f"{place}")
                waits.append(time.perf_counter() - begun)
            await ledger.close()
            journal.close()
        finally:
            node.kill()
    return 1000 * statistics.median(waits)


def comeback(chain: Chain) -> str:
    times = []
    for _ in range(3):
        chain.kill()
        start = time.perf_counter()
        chain.start()
        times.append(time.perf_counter() - start)
    total = 2 * (10 + ROUNDS * BATCH) + BURST + 1
    return claim(f"a killed chain of {total:,} transactions serves again", statistics.median(times), "s", None, None, None, None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line (the only form there is)")
    parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        chain = Chain(Path(name) / "chain")
        try:
            for line in asyncio.run(costs(chain, Path(name))):
                print(line, flush=True)
            print(comeback(chain), flush=True)
        finally:
            chain.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
