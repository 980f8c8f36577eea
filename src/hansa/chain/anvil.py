"""The node binary of the embedded chain and one running process of it, reachable over a private unix socket."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path

import msgspec
import psutil  # type: ignore[import-untyped]

from hansa.chain.ipc import Ipc
from hansa.core.errors import ConfigError, LedgerError
from hansa.runtime.lifeline import launcher

_START_SECONDS = 30.0
_PREFIX = "hansa-chain-"
_PROFILE = {"x86_64": "amd64", "AMD64": "amd64", "arm64": "arm64", "aarch64": "arm64"}


def find_anvil() -> Path:
    """The platform binary from the contracts' npm packages, from $HANSA_NPM_ROOT or from PATH; ConfigError when there is none."""
    name = f"anvil-{platform.system().lower()}-{_PROFILE.get(platform.machine(), platform.machine())}"
    inside = Path("node_modules") / "@foundry-rs" / name / "bin" / "anvil"
    roots = [Path(os.environ["HANSA_NPM_ROOT"])] if "HANSA_NPM_ROOT" in os.environ else []
    roots.append(Path(__file__).parents[3] / "contracts")
    for root in roots:
        if (root / inside).is_file():
            return root / inside
    found = shutil.which("anvil")
    # npm puts a wrapper script of that name on PATH; only the binary itself dies when it is killed.
    if found and Path(found).read_bytes()[:4] in (b"\x7fELF", b"\xcf\xfa\xed\xfe"):
        return Path(found)
    raise ConfigError(
        "the embedded chain needs anvil 1.7.1, which was not found; run `make setup`, or `npm install @foundry-rs/anvil@1.7.1` in a folder "
        "that you name in HANSA_NPM_ROOT"
    )


class Genesis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes one embedded chain that chain; fixed when its home is made. `funds` is (address, wei), for gas that has a price."""

    chain_id: int
    timestamp: int
    base_fee: int = 0
    gas_limit: int = 1_000_000_000
    funds: tuple[tuple[str, int], ...] = ()


class _Process(msgspec.Struct, frozen=True):
    """The running node as `anvil.json` names it: its number, its start in seconds since 1970, its folder of temporary files."""

    pid: int
    started: float
    folder: str


def kill_recorded(record: Path) -> None:
    """End the node that a killed supervisor left behind; a process that merely inherited its number is left alone."""
    try:
        old = msgspec.json.decode(record.read_bytes(), type=_Process)
    except (FileNotFoundError, msgspec.DecodeError):
        return
    try:
        process = psutil.Process(old.pid)
        if abs(process.create_time() - old.started) < 0.05:
            process.kill()
            deadline = time.monotonic() + _START_SECONDS
            # Its parent is gone, so nobody may ever collect it: a zombie counts as ended.
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
                time.sleep(0.002)
    except psutil.NoSuchProcess:
        pass
    if Path(old.folder).name.startswith(_PREFIX):
        shutil.rmtree(old.folder, ignore_errors=True)
    record.unlink()


class Anvil:
    """A running node: its process, its socket, its folder of temporary files."""

    def __init__(self, process: asyncio.subprocess.Process, ipc: Ipc, folder: Path) -> None:
        self.process, self.ipc, self._folder = process, ipc, folder

    @classmethod
    async def start(cls, genesis: Genesis, home: Path) -> Anvil:
        """Start an empty chain and wait for its first answer; LedgerError with the node's own words when it does not come up."""
        kill_recorded(home / "anvil.json")
        # A unix socket's path is limited to about a hundred characters, which a home may exceed.
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            with (home / "anvil.log").open("wb") as log:
                command = launcher(_command(genesis, folder))
                process = await asyncio.create_subprocess_exec(
                    *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
                )
            try:
                _record(home / "anvil.json", process.pid, folder)
                return cls(process, await _first_answer(process, folder, home / "anvil.log"), folder)
            except BaseException:
                if process.returncode is None:
                    process.kill()
                await process.wait()
                raise
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    async def stop(self) -> None:
        """Kill it: all that matters is in the journal."""
        self.ipc.close()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _command(genesis: Genesis, folder: Path) -> list[str]:
    command = [str(find_anvil()), "--host", "127.0.0.1", "--port", "0", "--ipc", str(folder / "rpc"), "--quiet"]
    command += ["--hardfork", "shanghai", "--no-mining", "--order", "fifo", "--no-request-size-limit", "--accounts", "0", "--no-cors"]
    # States of old blocks are not served; keeping some lets a refusal be explained against the block it happened in.
    command += ["--prune-history", "64", "--cache-path", str(folder)]
    # `--base-fee` also decides whether gas has a price at all; the node invents a tip of one gwei unless told not to.
    command += ["--gas-price", str(genesis.base_fee), "--base-fee", str(genesis.base_fee), "--disable-min-priority-fee"]
    alloc = {address: {"balance": hex(wei)} for address, wei in genesis.funds}
    document = {
        "config": {"chainId": genesis.chain_id},
        "timestamp": hex(genesis.timestamp),
        "gasLimit": hex(genesis.gas_limit),
        "difficulty": "0x0",
        "baseFeePerGas": hex(genesis.base_fee),
        "alloc": alloc,
    }
    (folder / "genesis.json").write_bytes(msgspec.json.encode(document))
    command += ["--init", str(folder / "genesis.json"), "--chain-id", str(genesis.chain_id)]
    return [*command, "--timestamp", str(genesis.timestamp), "--gas-limit", str(genesis.gas_limit)]


def _record(path: Path, pid: int, folder: Path) -> None:
    path.write_bytes(msgspec.json.encode(_Process(pid, psutil.Process(pid).create_time(), str(folder))))


async def _first_answer(process: asyncio.subprocess.Process, folder: Path, log: Path) -> Ipc:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _START_SECONDS
    while loop.time() < deadline and process.returncode is None:
        try:
            ipc = await Ipc.connect(folder / "rpc")
            await ipc.request("eth_chainId", (), str)
            return ipc
        except OSError:
            await asyncio.sleep(0.005)
    said = log.read_text(errors="replace")[-500:].strip()
    raise LedgerError(f"the embedded chain's node did not start (exit code {process.returncode}): {said or 'no output'}")
