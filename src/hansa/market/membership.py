"""Membership: what an account puts on the ledger to take seats - stake, consent, where and who its node is - and a seat it gives up."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import msgspec

from hansa.chain.deployment import Contracts
from hansa.core.errors import ConfigError
from hansa.core.ports import Call, Ledger, Signer
from hansa.core.types import Address, Role

_OCCASIONS = 1_000
_SEATED = 2
"""The cohort's phase of a job that runs."""


class Entry(msgspec.Struct, frozen=True):
    """A node as the registry lists it: name, https base URL, sha256 of its certificate, transport key (32 bytes), mask of roles."""

    name: str
    endpoint: str
    certificate: bytes
    transport_key: bytes
    roles: int


class Standing(msgspec.Struct, frozen=True):
    """What the ledger says of an account; amounts in the token's smallest unit. `entry` is None while it is not registered."""

    account: Address
    entry: Entry | None
    allowed: bool
    balance: int
    staked: int
    locked: int
    free: int
    vault_credit: int
    market_credit: int
    rounds_credit: int
    vault_allowance: int
    bond_allowance: int


async def standing(ledger: Ledger, contracts: Contracts, account: Address) -> Standing:
    """Read all of it, in one burst."""
    c = contracts
    amounts = await asyncio.gather(
        c.token.balance_of(account).read(ledger),
        c.vault.staked(account).read(ledger),
        c.vault.locked(account).read(ledger),
        c.vault.free_of(account).read(ledger),
        c.vault.credit(account).read(ledger),
        c.market.credit(account).read(ledger),
        c.rounds.credit(account).read(ledger),
        c.token.allowance(account, c.vault.address).read(ledger),
        c.token.allowance(account, c.rounds.address).read(ledger),
    )
    number, allowed = await asyncio.gather(
        c.registry.id_of(account).read(ledger), c.vault.service_allowed(account, c.cohort.address).read(ledger)
    )
    entry = None
    if number:
        node = await c.registry.node_of(account).read(ledger)
        entry = Entry(node.name, node.endpoint, node.certificate, node.transport_key, node.roles)
    return Standing(account, entry, allowed, *amounts)


async def join(ledger: Ledger, contracts: Contracts, signer: Signer, entry: Entry, *, stake: int, bonds: int) -> Standing:
    """Bring the ledger to what is wanted and no further: at least `stake` staked, consent given to the cohort contract, challenge
    bonds of up to `bonds` approved, the node registered as `entry`. Nothing is sent when all of that holds.

    ConfigError when the balance does not cover the stake, or a registered node has another name.
    """
    # The block before the look: a receipt from it or from earlier is one that the look already counted, and its intent is used up.
    seen = (await ledger.head()).number
    now = await standing(ledger, contracts, signer.address)
    missing = max(0, stake - now.staked)
    if now.balance < missing:
        raise ConfigError(f"{signer.address} owns {now.balance}, less than the {missing} it still has to stake; get tokens first")
    if now.entry is not None and now.entry.name != entry.name:
        raise ConfigError(f"{signer.address} is registered as '{now.entry.name}', not '{entry.name}'; a node keeps its name")

    async def send(call: Call, intent: str) -> None:
        for occasion in range(_OCCASIONS):
            receipt = await ledger.send(call, signer, intent=f"join/{intent}/{occasion}")
            if receipt.block > seen:
                return

    async def pledge() -> None:
        if missing:
            if now.vault_allowance < missing:
                await send(contracts.token.approve(contracts.vault.address, missing), f"approve-vault/{missing}")
            await send(contracts.vault.stake(missing), f"stake/{missing}")

    wanted: list[Callable[[], Awaitable[None]]] = [pledge]
    if now.bond_allowance < bonds:
        wanted.append(lambda: send(contracts.token.approve(contracts.rounds.address, bonds), f"approve-bonds/{bonds}"))
    if not now.allowed:
        wanted.append(lambda: send(contracts.vault.set_service(contracts.cohort.address, True), "allow-cohort"))
    if now.entry is None:
        register = contracts.registry.register(entry.name, entry.endpoint, entry.certificate, entry.transport_key, entry.roles, b"")
        wanted.append(lambda: send(register, "register"))
    else:
        if now.entry.roles != entry.roles:
            wanted.append(lambda: send(contracts.registry.set_roles(entry.roles, b""), f"roles/{entry.roles}"))
        if (now.entry.endpoint, now.entry.certificate, now.entry.transport_key) != (entry.endpoint, entry.certificate, entry.transport_key):
            update = contracts.registry.update(entry.endpoint, entry.certificate, entry.transport_key)
            wanted.append(lambda: send(update, f"update/{entry.endpoint}/{entry.certificate.hex()}"))
    await asyncio.gather(*(step() for step in wanted))
    return await standing(ledger, contracts, signer.address)


async def leave(ledger: Ledger, contracts: Contracts, signer: Signer, job: int) -> int:
    """Give the account's trainer's seat in a running job up; answers how much stake that sets free.

    What it delivers for the round that is open still counts. ConfigError, and nothing is sent, when there is no seat to give up.
    """
    cohort = contracts.cohort
    account = await contracts.registry.account_of(signer.address).read(ledger)
    member, (phase, *_) = await asyncio.gather(cohort.member_of(job, account).read(ledger), cohort.group_of(job).read(ledger))
    if member.role != Role.TRAINER:
        raise ConfigError(f"{account} is no trainer of job {job}; `hansa job show {job}` names its members")
    if member.last:
        raise ConfigError(f"{account} has left job {job} already; its stake is free and what it earned can be claimed at the end")
    if phase != _SEATED:
        raise ConfigError(f"job {job} does not run: before it starts a seat binds, and after its end there is none to give up")
    claim = await cohort.claim_of(job, account).read(ledger)
    _, _, locked = await contracts.vault.locks(cohort.address, claim).read(ledger)
    await ledger.send(cohort.leave_job(job), signer, intent=f"leave/{job}")
    return locked


async def collect(ledger: Ledger, contracts: Contracts, signer: Signer) -> int:
    """Have every credit paid out - refunds, returned bonds, shares of a slash, thawed stake - and answer how much that was."""
    now = await standing(ledger, contracts, signer.address)
    owing = [
        (now.vault_credit, contracts.vault.collect()),
        (now.market_credit, contracts.market.collect()),
        (now.rounds_credit, contracts.rounds.collect()),
    ]
    occasion = secrets.token_hex(16)  # a second collection of the same amount is another one
    sends = [ledger.send(call, signer, intent=f"collect/{call.to}/{occasion}") for credit, call in owing if credit]
    await asyncio.gather(*sends)
    return sum(credit for credit, _ in owing)
