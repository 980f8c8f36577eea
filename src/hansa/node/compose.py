"""From a configuration file to a running node: ports wired to adapters, once, here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from hansa.chain import deployment
from hansa.chain.cursor import Cursor
from hansa.chain.deployment import Contracts
from hansa.chain.ledger import JsonRpcLedger
from hansa.core.clock import Clock, SystemClock
from hansa.core.errors import ConfigError, IdentityError, LedgerUnreachable
from hansa.identity.certificate import NodeCertificate
from hansa.identity.keystore import load_key
from hansa.identity.typed import Domain
from hansa.market.posting import nets
from hansa.node.beacon import JournalBeacon
from hansa.node.book import Book
from hansa.node.config import NodeConfig, load_node
from hansa.node.coordinator import CoordinatorNode
from hansa.node.flower import FlowerTrainer, flower_pool, with_defaults
from hansa.node.follower import Follower
from hansa.node.intake import LIMITS
from hansa.node.node import Node, Parts
from hansa.node.status import Status
from hansa.node.table import Table
from hansa.node.trainer import TrainerNode
from hansa.node.verifier import VerifierNode
from hansa.runtime.journal import SqliteJournal
from hansa.runtime.on_demand import OnDemandPool, Workers
from hansa.runtime.shutdown import on_signal
from hansa.runtime.workers import WorkerPool
from hansa.storage.local import LocalStore
from hansa.transport.https import HttpsTransport

log = logging.getLogger(__name__)

WORKERS = "hansa.learning.worker"
PATIENCE = 60.0
"""Seconds for which a node that comes back waits for a chain that does not answer."""
_PAUSE = 1.0

Make = Callable[[NodeConfig, Path, Parts], Node]


async def compose(config: NodeConfig, home: Path, clock: Clock) -> Parts:
    """Open everything a node needs; an error of the tree says which part is wrong, and what was opened before is closed."""
    password = _read(home / config.key.password_file).decode().strip()
    signer = await asyncio.to_thread(load_key, home / config.key.keystore, password)
    certificate = NodeCertificate(home / config.key.transport)
    restarted = (home / "journal.sqlite").exists()
    async with AsyncExitStack() as opened:
        journal = SqliteJournal(home / "journal.sqlite")
        opened.callback(journal.close)
        ledger = await JsonRpcLedger.open(config.chain.endpoints, journal)
        opened.push_async_callback(ledger.close)
        placed = await deployment.load(ledger, home / config.chain.deployment)
        contracts = Contracts.of(placed)
        account = await contracts.registry.account_of(signer.address).read(ledger)

        async def read_nets(first: int, milestones: int) -> tuple[int, ...]:
            return await nets(ledger, contracts, first, milestones)

        follower = Follower(Cursor(ledger, placed.events(), first_block=placed.block), read_nets)
        status = Status(config.name)
        domain = Domain(placed.chain_id, contracts.rounds.address)
        transport = HttpsTransport(
            signer, domain, certificate, clock, admit=follower.knows, account=account, host=config.listen.host, port=config.listen.port,
            limits=LIMITS, restarted_at=clock.now() if restarted else None,
            metrics=lambda: status.text(follower.jobs, follower.healthy),
        )  # fmt: skip
        workers: Workers | None = None
        if config.role == "trainer":
            workers = pool = flower_pool(config.flower, home) if config.flower else WorkerPool(WORKERS, 1, config.device)
            await pool.start()
        elif config.role != "coordinator":
            workers = OnDemandPool(WORKERS, config.device)
        parts = Parts(
            name=config.name, account=account, signer=signer, ledger=ledger, contracts=contracts, domain=domain, book=Book(journal),
            beacon=JournalBeacon(journal, placed.chain_id, contracts.cohort.address), store=LocalStore(home / "blobs", clock),
            transport=transport, follower=follower, clock=clock, scratch=home / "scratch", status=status, workers=workers,
            auto_enrol=config.auto_enrol, standby=config.standby, journal=journal,
        )  # fmt: skip
        opened.pop_all()
        return parts


def make_node(config: NodeConfig, home: Path, parts: Parts) -> Node:
    """The role that the configuration names; a trainer reads and normalises its own rows here, once."""
    match config.role:
        case "trainer":
            return make_trainer(config, home, parts)
        case "coordinator":
            return CoordinatorNode(parts)
        case "verifier":
            return VerifierNode(parts)
        case _:
            raise ConfigError(f"a node does not run as '{config.role}'; a client uses `hansa job` or the sdk")


def make_trainer(config: NodeConfig, home: Path, parts: Parts) -> TrainerNode:
    section = config.data
    if section is None:
        raise ConfigError("a trainer needs a [data] table that names its file and schema")
    table = Table(section, home)
    (scores, digest), disclose = table.read(), section.disclose_rows
    if config.flower is not None:
        return FlowerTrainer(parts, section.data_schema, scores, digest, disclose_rows=disclose, flower=with_defaults(config.flower, home))
    return TrainerNode(
        parts, section.data_schema, scores, digest, disclose_rows=disclose, reread=table.reread, share=config.share
    )  # fmt: skip


def announce(url: str) -> None:
    """The one line that tells a supervisor the node is up."""
    print(f"ready {url}", flush=True)


async def run_node(path: Path, *, make: Make = make_node, ready: Callable[[str], None] = announce) -> None:
    """Run the node of a configuration file until SIGTERM or SIGINT; `make` is how its role comes about.

    LedgerUnreachable when the chain does not answer: at once for a node that never ran, after a minute for one that comes back.
    """
    config, home = load_node(path), path.resolve().parent
    stop = on_signal()
    parts = await _composed(config, home, stop)
    if parts is not None:
        await make(config, home, parts).run(stop, ready)


async def _composed(config: NodeConfig, home: Path, stop: asyncio.Event) -> Parts | None:
    """As `compose`; a node that ran before waits for its chain, which may be coming back too. None when told to stop meanwhile."""
    now = asyncio.get_running_loop().time
    end = now() + (PATIENCE if (home / "journal.sqlite").exists() else 0.0)
    told = False
    while not stop.is_set():
        try:
            return await compose(config, home, SystemClock())
        except LedgerUnreachable as error:
            if now() >= end:
                raise
            if not told:
                log.warning("chain unreachable, waiting for it", extra={"error": str(error)})
            told = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE):
                await stop.wait()
    return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise IdentityError(f"{path} cannot be read ({error.strerror}); the node's configuration names it") from error
