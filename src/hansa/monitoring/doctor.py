"""What a machine and a home need before a node runs there, each looked at for real, each answered in one sentence."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil  # type: ignore[import-untyped]

from hansa.chain import artifacts, deployment
from hansa.chain.anvil import find_anvil
from hansa.chain.ledger import JsonRpcLedger
from hansa.core.errors import ConfigError, HansaError
from hansa.identity.keys import AccountKey, recover
from hansa.node.home import CONFIG
from hansa.node.registration import Premises
from hansa.runtime.journal import MemoryJournal

PYTHON = (3, 11)
TORCH = "2.13.0"
FREE_DISK = 1 << 30
FREE_MEMORY = 2 << 30


class Finding(msgspec.Struct, frozen=True):
    """One look: at what, whether it is well, and what was seen or what to do."""

    what: str
    well: bool
    seen: str


async def examine(home: Path) -> list[Finding]:
    """Look at the machine, then at every node in the home."""
    looks: list[tuple[str, Callable[[], str]]] = [
        ("Python", _python),
        ("torch", _torch),
        ("signatures", _signatures),
        ("contracts", _contracts),
        ("embedded chain", _anvil),
        ("disk", lambda: _disk(home)),
        ("memory", _memory),
        ("loopback", _loopback),
        ("shared data", _shared),
    ]
    found = [_look(what, look) for what, look in looks]
    for path in sorted((home / "nodes").glob(f"*/{CONFIG}")):
        found.append(await _node(path.parent))
    return found


def _look(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, look())
    except (HansaError, OSError) as error:
        return Finding(what, False, str(error))


def _python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < PYTHON:
        raise ConfigError(f"this is Python {version}; install 3.11 or later")
    return version


def _torch() -> str:
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(f"torch is not installed; install torch=={TORCH}") from None
    if version.partition("+")[0] != TORCH:
        raise ConfigError(f"torch is {version}; replayed training needs {TORCH} exactly")
    return version


def _signatures() -> str:
    key, digest = AccountKey.generate(), os.urandom(32)
    if recover(digest, key.sign(digest)) != key.address:
        raise ConfigError("coincurve gives a wrong signature; install it again")
    return f"coincurve {importlib.metadata.version('coincurve')} signs and recovers"


def _contracts() -> str:
    names = ("Clock", "HansaToken", "StakeVault", "NodeRegistry", "JobMarket", "Cohort", "RoundLedger", "Acceptance", "ModelRegistry")
    for name in names:
        artifacts.load(name)
    return f"{len(names)} artefacts are here"


def _anvil() -> str:
    path = find_anvil()
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except subprocess.SubprocessError as error:
        raise ConfigError(f"{path} does not run ({error}); run `make setup` again") from error
    return f"{said.stdout.splitlines()[0]} ({path})"


def _disk(home: Path) -> str:
    place = next(each for each in (home, *home.parents) if each.exists())
    if not os.access(place, os.W_OK):
        raise ConfigError(f"{place} may not be written; choose another --home")
    free = shutil.disk_usage(place).free
    if free < FREE_DISK:
        raise ConfigError(f"{free >> 20} MiB are free at {place}; journals and blobs need at least {FREE_DISK >> 20}")
    return f"{free >> 30} GiB free at {place}"


def _memory() -> str:
    free = psutil.virtual_memory().available
    if free < FREE_MEMORY:
        raise ConfigError(f"{free >> 20} MiB of memory are available; a whole network on one machine takes up to {FREE_MEMORY >> 20}")
    return f"{free >> 20} MiB available"


def _loopback() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname(), timeout=3):
            return "ports can be opened and reached"


def _shared() -> str:
    folder = Path(os.environ.get("HANSA_SHARED", Path(__file__).parents[4] / "shared"))
    if not (folder / "data").is_dir():
        return "absent; only benchmarks on further data sets need it (HANSA_SHARED)"
    return str(folder)


async def _node(folder: Path) -> Finding:
    """Its key opens, its chain answers, and its deployment file is that chain's."""
    what = f"node {folder.name}"
    try:
        premises = await asyncio.to_thread(Premises, folder)
        ledger = await JsonRpcLedger.open(premises.config.chain.endpoints, MemoryJournal())
        try:
            await deployment.load(ledger, folder / premises.config.chain.deployment)
            head = (await ledger.head()).number
        finally:
            await ledger.close()
    except HansaError as error:
        return Finding(what, False, str(error))
    return Finding(what, True, f"key opens; chain {ledger.chain_id} is at block {head}")
