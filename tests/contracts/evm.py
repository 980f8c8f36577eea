"""Two executors: revm inside this process for logic, and an anvil process for gas and for the deployment itself."""

from __future__ import annotations

import json
import platform
import re
import socket
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pyrevm

from tests.contracts.abi import Log, Revert, revert_from

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
START = 1_700_000_000
DAY = 86_400


class Revm:
    """revm through pyrevm: a fresh state, a clock that the test moves; its gas figures are not a chain's."""

    chain_id = 1

    def __init__(self) -> None:
        self.evm = pyrevm.EVM(spec_id="SHANGHAI")
        self.number, self.now = 1, START
        self.pass_time(0)

    def pass_time(self, seconds: int) -> None:
        self.number, self.now = self.number + 1, self.now + seconds
        self.evm.set_block_env(pyrevm.BlockEnv(number=self.number, timestamp=self.now, gas_limit=30_000_000))

    def snapshot(self) -> Any:
        return self.evm.snapshot(), self.number, self.now

    def revert(self, mark: Any) -> None:
        checkpoint, self.number, self.now = mark
        self.evm.revert(checkpoint)
        self.pass_time(0)

    def deploy(self, code: bytes, sender: str) -> str:
        try:
            return str(self.evm.deploy(sender, code))
        except RuntimeError as failure:
            raise self._revert(failure) from None

    def transact(self, to: str, data: bytes, sender: str) -> tuple[bytes, list[Log], int]:
        try:
            output = self.evm.message_call(sender, to, calldata=data, gas=29_000_000)
        except RuntimeError as failure:
            raise self._revert(failure) from None
        result = self.evm.result
        logs = [Log(log.address, [bytes.fromhex(topic[2:]) for topic in log.topics], log.data[1]) for log in result.logs]
        return bytes(output), logs, result.gas_used

    def call(self, to: str, data: bytes, sender: str) -> bytes:
        try:
            return bytes(self.evm.message_call(sender, to, calldata=data, is_static=True))
        except RuntimeError as failure:
            raise self._revert(failure) from None

    @staticmethod
    def _revert(failure: RuntimeError) -> Revert:
        found = re.search(r"output: 0x([0-9a-f]*)", str(failure))
        return revert_from(bytes.fromhex(found[1])) if found else Revert(str(failure))


def anvil_binary() -> Path:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return CONTRACTS / f"node_modules/@foundry-rs/anvil-{platform.system().lower()}-{machine}/bin/anvil"


class Anvil:
    """A private anvil process with the flags of the embedded chain; the test mines by sending."""

    chain_id = 31337

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        flags = ["--hardfork", "shanghai", "--gas-price", "0", "--base-fee", "0", "--disable-min-priority-fee"]
        command = [str(anvil_binary()), "--port", str(self.port), "--timestamp", str(START), "--auto-impersonate", "--no-mining", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        self.now = START
        for _ in range(400):
            try:
                self.rpc("eth_chainId")
                return
            except OSError:
                self.connection.close()
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
        code = self.process.poll()
        self.close()
        raise RuntimeError(f"anvil did not start, exit code {code}")

    def close(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.wait(10)

    def rpc(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        self.connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.loads(self.connection.getresponse().read())
        if "error" in answer:
            data = answer["error"].get("data")
            raise revert_from(bytes.fromhex(data[2:])) if isinstance(data, str) else Revert(str(answer["error"]))
        return answer["result"]

    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    def deploy(self, code: bytes, sender: str) -> str:
        return str(self._mined({"from": sender, "data": "0x" + code.hex()})["contractAddress"])

    def transact(self, to: str, data: bytes, sender: str) -> tuple[bytes, list[Log], int]:
        message = {"from": sender, "to": to, "data": "0x" + data.hex()}
        output = bytes.fromhex(self.rpc("eth_call", message, "latest")[2:])
        receipt = self._mined(message)
        logs = [
            Log(log["address"], [bytes.fromhex(t[2:]) for t in log["topics"]], bytes.fromhex(log["data"][2:])) for log in receipt["logs"]
        ]
        return output, logs, int(receipt["gasUsed"], 16)

    def call(self, to: str, data: bytes, sender: str) -> bytes:
        return bytes.fromhex(self.rpc("eth_call", {"from": sender, "to": to, "data": "0x" + data.hex()}, "latest")[2:])

    def _mined(self, message: dict[str, str]) -> Any:
        self.rpc("evm_setNextBlockTimestamp", self.now)
        sent = self.rpc("eth_sendTransaction", {**message, "gas": hex(29_000_000), "gasPrice": "0x0"})
        self.rpc("evm_mine")
        receipt = self.rpc("eth_getTransactionReceipt", sent)
        if receipt["status"] != "0x1":
            raise Revert("transaction failed")
        return receipt
