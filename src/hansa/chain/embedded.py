"""The embedded chain: a supervised node, mined and journalled by us, served on loopback; `python -m hansa.chain.embedded --home DIR`.

Home holds `chain.json` (what chain this is), `journal-*`, `checkpoint-*`, `lock`, and of the running node `anvil.json` and `anvil.log`.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import fcntl
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec
import uvloop

from hansa.chain.anvil import Anvil, Genesis
from hansa.chain.checkpoint import Checkpoints
from hansa.chain.journal import ChainJournal, sync_folder
from hansa.chain.miner import Miner
from hansa.chain.proxy import Dispatcher, Door
from hansa.core.clock import Clock, SystemClock
from hansa.core.errors import ConfigError, HansaError


class Ready(msgspec.Struct, frozen=True):
    """The one line that the process prints when it serves."""

    url: str
    chain_id: int
    head: int


class EmbeddedChain:
    """One chain in one home; open it, use `url`, close it. Killed at any moment it goes on exactly where its journal ends."""

    def __init__(self, home: Path, genesis: Genesis, clock: Clock, lock: int, listener: socket.socket) -> None:
        self.home, self.genesis, self._lock, self._listener = home, genesis, lock, listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.miner = Miner(lambda: Anvil.start(genesis, home), ChainJournal(home), Checkpoints(home), clock)
        self._doors: set[Door] = set()
        self._server: asyncio.Server | None = None
        self._mining: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        home: Path,
        *,
        chain_id: int = 31337,
        port: int = 0,
        base_fee: int = 0,
        funds: tuple[tuple[str, int], ...] = (),
        clock: Clock | None = None,
    ) -> EmbeddedChain:
        """Start or go on. ConfigError when the port or the home is in use, or the home belongs to a chain of another make."""
        clock = clock or SystemClock()
        home.mkdir(parents=True, exist_ok=True)
        lock = _lock(home)
        try:
            genesis = _genesis(home, Genesis(chain_id, int(clock.now()), base_fee=base_fee, funds=funds))
            chain = cls(home, genesis, clock, lock, _listen(port))
        except BaseException:
            os.close(lock)
            raise
        try:
            await chain._start()
        except BaseException:
            await chain.close()
            raise
        return chain

    async def _start(self) -> None:
        self._mining = asyncio.get_running_loop().create_task(self.miner.run())
        ready = asyncio.get_running_loop().create_task(self.miner.node())
        await asyncio.wait((self._mining, ready), return_when=asyncio.FIRST_COMPLETED)
        if self._mining.done():
            ready.cancel()
            await self._mining
        dispatcher = Dispatcher(self.miner, free=self.genesis.base_fee == 0)
        # A short queue of connections would make a burst of clients wait a second for their kernel to knock again.
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Door(dispatcher, self._doors), sock=self._listener, backlog=1024
        )

    async def wait(self) -> None:
        """Until mining ends, which it does only by an error that nothing can mend; raises it."""
        if self._mining is not None:
            await asyncio.shield(self._mining)

    async def close(self) -> None:
        """Stop serving, write a checkpoint, end the node."""
        if self._server is not None:
            self._server.close()
        self._listener.close()
        for door in tuple(self._doors):
            door.close()
        well = False
        if self._mining is not None:
            self.miner.finish()
            await asyncio.wait((self._mining,))
            well = self._mining.exception() is None
        await self.miner.stop(checkpoint=well)
        os.close(self._lock)


def _lock(home: Path) -> int:
    handle = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise ConfigError(f"another process runs the chain in {home}; end it or choose another home") from error
    return handle


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise ConfigError(f"port {port} is in use or not ours to take; give another port, or 0 to have one chosen") from error
        raise
    listener.setblocking(False)
    return listener


def _genesis(home: Path, wanted: Genesis) -> Genesis:
    """The home's own genesis, made at the first start."""
    path = home / "chain.json"
    if not path.exists():
        temporary = home / "chain.tmp"
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(wanted))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(home)
        return wanted
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Genesis)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is not the description of a chain ({error}); restore it from a copy") from error
    if msgspec.structs.replace(wanted, timestamp=found.timestamp) != found:
        raise ConfigError(f"{home} holds chain {found.chain_id} made with other settings; use the same settings or another home")
    return found


def _fund(text: str) -> tuple[str, int]:
    address, _, wei = text.partition("=")
    if len(address) != 42 or not wei.isdigit():
        raise argparse.ArgumentTypeError("give ADDRESS=WEI")
    return address.lower(), int(wei)


async def _serve(options: argparse.Namespace) -> None:
    chain = await EmbeddedChain.open(
        options.home, chain_id=options.chain_id, port=options.port, base_fee=options.base_fee, funds=tuple(options.fund)
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(msgspec.json.encode(Ready(chain.url, chain.genesis.chain_id, chain.miner.head.number)).decode(), flush=True)
    stopped, mining = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(chain.wait())
    await asyncio.wait((stopped, mining), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    try:
        if mining.done():
            await mining
    finally:
        mining.cancel()
        await chain.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="hansa.chain.embedded", description="Run the embedded chain until SIGTERM or SIGINT.")
    parser.add_argument("--home", type=Path, required=True, help="folder that holds the chain")
    parser.add_argument("--port", type=int, default=0, help="loopback port to serve on; 0 has one chosen")
    parser.add_argument("--chain-id", type=int, default=31337)
    parser.add_argument("--base-fee", type=int, default=0, help="price of gas in wei at genesis; 0 makes gas free for ever")
    parser.add_argument("--fund", type=_fund, action="append", default=[], help="ADDRESS=WEI that the account owns at genesis")
    try:
        uvloop.run(_serve(parser.parse_args()))
    except HansaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
