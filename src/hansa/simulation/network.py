"""A whole network on one machine: an embedded chain and one process per node, each with its own home, key, stake and registration."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from hansa.chain import deployment
from hansa.chain.deployment import Contracts, Deployment, Parameters
from hansa.chain.embedded import Ready
from hansa.chain.ledger import JsonRpcLedger
from hansa.core.errors import WorkerError
from hansa.core.types import Address
from hansa.identity.keys import AccountKey
from hansa.market.membership import Standing
from hansa.node.home import CONFIG, make_key
from hansa.node.registration import Premises
from hansa.runtime.children import Child, Children, line
from hansa.runtime.journal import SqliteJournal
from hansa.simulation.plan import Member, NetworkPlan
from hansa.simulation.ports import Ports
from hansa.simulation.provision import furnish

CHAIN = "chain"
READY_SECONDS = 120.0


class Network:
    """Use as an async context. What a crash or an end left behind is taken up again: nothing is deployed, paid or registered twice.

    With `restart` a process that ends is started again by itself; else it stays down until `restart(name)`. The chain always comes back.
    """

    def __init__(self, plan: NetworkPlan, *, restart: bool = False) -> None:
        self.plan, self._restart = plan, restart
        self.home = plan.home
        self.children = Children(plan.home / "logs")
        self.members = {member.name: member for member in plan.members}
        self.standings: dict[str, Standing] = {}
        self._premises: dict[str, Premises] = {}
        self._ports = Ports()
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Chain, contracts, members, processes; returns once every node serves and stands on the ledger."""
        self._open.callback(self._ports.close)
        journal = SqliteJournal(self.home / "founder" / "journal.sqlite")
        self._open.callback(journal.close)
        self.founder: AccountKey = make_key(self.home / "founder", work=self.plan.scrypt_work)
        self.chain_url = await self._start_chain()
        self.ledger = await JsonRpcLedger.open([self.chain_url], journal, chain_id=self.plan.chain_id)
        self._open.push_async_callback(self.ledger.close)
        founder = self.founder.address
        parameters = Parameters(founder, founder, max_gap=self.plan.max_gap, thaw_delay=self.plan.thaw_delay)
        self.deployment: Deployment = await deployment.deploy(self.ledger, self.founder, parameters, self.deployment_file)
        self.contracts = Contracts.of(self.deployment)
        for member in self.plan.members:
            self._premises[member.name] = furnish(self.plan, member, self.chain_url, self.deployment_file, self._ports)
        await asyncio.gather(*(self._enrol(member) for member in self.plan.members))
        await asyncio.gather(*(self.start_node(member.name) for member in self.plan.members if member.role != "client"))

    @property
    def deployment_file(self) -> Path:
        return self.home / "deployment.json"

    def config_path(self, name: str) -> Path:
        """A member's configuration file; its folder is the member's home."""
        return self._premises[name].folder / CONFIG

    def key(self, name: str) -> AccountKey:
        return self._premises[name].key

    def account(self, name: str) -> Address:
        return self._premises[name].key.address

    def endpoint(self, name: str) -> str:
        """Where a member's node listens."""
        return self._premises[name].entry.endpoint

    def name_of(self, account: str) -> str:
        """The member behind an account; the account itself when it is a stranger's."""
        return next((name for name, premises in self._premises.items() if premises.key.address == account), account)

    def alive(self, name: str) -> bool:
        return self.children[name].alive

    async def kill(self, name: str) -> None:
        """`kill -9` of one process, a node's or the chain's."""
        await self.children.kill(name)

    async def restart(self, name: str) -> None:
        """Start a killed or running node again and wait until it serves."""
        await self.children.stop(name)
        await (self._start_chain() if name == CHAIN else self.start_node(name))

    async def stop_node(self, name: str) -> None:
        """Ask one node to end in order."""
        await self.children.stop(name)

    def memory(self) -> int:
        """Proportional set size in bytes of this process and all of the network."""
        return self.children.memory()

    async def stop(self) -> None:
        """End every node in order, then the chain; what is on disk starts again as it was."""
        nodes = [name for name in self.members if self._known(name)]
        await asyncio.gather(*(self.children.stop(name) for name in nodes))
        await self._open.aclose()
        await self.children.stop_all()

    async def start_node(self, name: str) -> Child:
        """Start a member's process and wait until it serves."""
        command = [*self.members[name].command, str(self.config_path(name))]
        return await self.children.start(name, command, ready=line(r"^ready (\S+)"), timeout=READY_SECONDS, restart=self._restart)

    async def _start_chain(self) -> str:
        record = self.home / "chain-port"
        port = self.plan.chain_port or (int(record.read_text()) if record.exists() else 0)
        if not self._known(CHAIN):
            port = self._ports.reserve(port)
            record.write_text(str(port))
        command = [sys.executable, "-m", "hansa.chain.embedded", "--home", str(self.home / CHAIN), "--port", str(port)]
        command += ["--chain-id", str(self.plan.chain_id)]
        child = await self.children.start(CHAIN, command, ready=line(r'(\{"url".*\})'), timeout=READY_SECONDS, restart=True)
        return msgspec.json.decode(child.ready, type=Ready).url

    async def _enrol(self, member: Member) -> None:
        premises = self._premises[member.name]
        grant = self.contracts.token.transfer(premises.key.address, member.tokens)
        await self.ledger.send(grant, self.founder, intent=f"grant/{member.name}/{premises.key.address}")
        bonds = 0 if member.role == "client" else self.plan.bonds
        self.standings[member.name] = await premises.register(stake=member.stake, bonds=bonds)

    def _known(self, name: str) -> bool:
        try:
            self.children[name]
        except WorkerError:
            return False
        return True
