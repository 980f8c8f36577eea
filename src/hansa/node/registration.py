"""From a node's home to its place on the ledger: which entry its configuration asks for, and the transactions that bring it there."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hansa.chain import deployment
from hansa.chain.deployment import Contracts
from hansa.chain.ledger import JsonRpcLedger
from hansa.core.errors import ConfigError
from hansa.core.ports import Receipt
from hansa.core.types import Address, Role
from hansa.identity.certificate import NodeCertificate
from hansa.identity.keys import AccountKey
from hansa.identity.keystore import load_key
from hansa.market.membership import Entry, Standing, collect, join, leave, standing
from hansa.node.config import NodeConfig, RoleName, load_node
from hansa.node.home import CONFIG
from hansa.runtime.journal import SqliteJournal

CUSTODIAN = 5
"""The registry's role of a party that serves blobs and takes no seat: a client, for its jobs' specifications and models."""

ROLES: dict[RoleName, int] = {
    "trainer": 1 << Role.TRAINER,
    "coordinator": 1 << Role.COORDINATOR,
    "verifier": 1 << Role.VERIFIER,
    "client": 1 << CUSTODIAN,
}


class Premises:
    """A node's home as its owner sees it: configuration, account key, and how the registry is to list it."""

    def __init__(self, folder: Path) -> None:
        """IdentityError or ConfigError when a part is missing, damaged, or the password does not open the key."""
        self.folder = folder
        self.config: NodeConfig = load_node(folder / CONFIG)
        self.key: AccountKey = load_key(folder / self.config.key.keystore, _password(folder / self.config.key.password_file))
        if not self.config.listen.port:
            raise ConfigError(f"{folder / CONFIG}: [listen] port is 0; a registered node needs a port that stays the same")
        certificate = NodeCertificate(folder / self.config.key.transport)
        url = f"https://{self.config.listen.host}:{self.config.listen.port}"
        self.entry = Entry(self.config.name, url, certificate.fingerprint, certificate.public_key, ROLES[self.config.role])

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[tuple[JsonRpcLedger, Contracts]]:
        """The chain of the configuration, for the owner's own transactions: journalled apart from the node's, which may be running."""
        journal = SqliteJournal(self.folder / "membership.sqlite")
        try:
            ledger = await JsonRpcLedger.open(self.config.chain.endpoints, journal)
            try:
                placed = await deployment.load(ledger, self.folder / self.config.chain.deployment)
                yield ledger, Contracts.of(placed)
            finally:
                await ledger.close()
        finally:
            journal.close()

    async def register(self, *, stake: int, bonds: int) -> Standing:
        """Stake, consent and registration, signed by the account's own key; nothing is done twice (see `market.membership.join`)."""
        async with self.ledger() as (ledger, contracts):
            return await join(ledger, contracts, self.key, self.entry, stake=stake, bonds=bonds)

    async def collect(self) -> int:
        """Have every credit of the account paid out; how much that was, in the smallest unit."""
        async with self.ledger() as (ledger, contracts):
            return await collect(ledger, contracts, self.key)

    async def leave(self, job: int) -> int:
        """Give the trainer's seat in a job up, whether the node runs or not; the stake that sets free (see `market.membership.leave`)."""
        async with self.ledger() as (ledger, contracts):
            return await leave(ledger, contracts, self.key, job)

    async def pay(self, to: Address, amount: int) -> Receipt:
        """Transfer tokens; each call is a payment of its own. ConfigError when the balance does not cover it."""
        async with self.ledger() as (ledger, contracts):
            balance = await contracts.token.balance_of(self.key.address).read(ledger)
            if balance < amount:
                raise ConfigError(f"{self.key.address} owns {balance}, less than the {amount} to pay; pay less or get tokens first")
            return await ledger.send(contracts.token.transfer(to, amount), self.key, intent=f"pay/{to}/{amount}/{secrets.token_hex(16)}")

    async def standing(self) -> Standing:
        """What the ledger says of the account."""
        async with self.ledger() as (ledger, contracts):
            return await standing(ledger, contracts, self.key.address)


def _password(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the password file {path} cannot be read ({error}); the node's configuration names it") from error
