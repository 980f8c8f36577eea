"""The contracts on the chain in memory, with a founder, a client and whoever else a test names."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from hansa.chain.bindings import structs
from hansa.chain.deployment import Contracts, Parameters, deploy
from hansa.chain.memory import MemoryLedger
from hansa.core.clock import ManualClock
from hansa.core.encoding import sha256
from hansa.core.ports import Ledger, Signer
from hansa.core.types import BlobRef, Digest, Role
from hansa.identity.keys import AccountKey
from hansa.market.posting import post

NOW = 1_700_000_000
FOUNDER, CLIENT, NODE = (AccountKey(bytes([number]) * 32) for number in (1, 2, 3))
BUDGET = 1_000


class World(NamedTuple):
    """`first` is the number of the first of the kernel jobs that the client funded for the round ledger."""

    ledger: MemoryLedger
    clock: ManualClock
    contracts: Contracts
    first: int


async def world(funded: int = 0) -> World:
    clock = ManualClock(float(NOW))
    ledger = MemoryLedger(clock)
    founder = FOUNDER.address
    with tempfile.TemporaryDirectory() as folder:
        placed = await deploy(ledger, FOUNDER, Parameters(founder, founder), Path(folder) / "deployment.json")
    contracts = Contracts.of(placed)
    for key in (CLIENT, NODE):
        await ledger.send(contracts.token.transfer(key.address, 100_000), FOUNDER, intent=f"grant/{key.address}")
    if funded:
        await ledger.send(contracts.token.approve(contracts.market.address, BUDGET * funded), CLIENT, intent="approve")
        rounds, far = contracts.rounds.address, NOW + 799 * 86_400
        for number in range(funded):
            call = contracts.market.create_funded(rounds, rounds, far, ("a milestone",), (BUDGET,))
            await ledger.send(call, CLIENT, intent=f"fund/{number}")
    return World(ledger, clock, contracts, 1)


async def start_job(ledger: Ledger, contracts: Contracts, client: Signer, seats: Sequence[tuple[Signer, Role]], stakes: int = 1) -> int:
    """A job of two rounds that runs, with these people in it; each has to be registered, staked and willing. Its stakes are equal."""
    now = await contracts.clock.time().read(ledger)
    fixed = replace(
        terms(), rounds=2, milestones=1, quorum=1, verifiers=1, enrol_by=now + 600, deadline=now + 7_200, trainer_stake=stakes,
        coordinator_stake=stakes, verifier_stake=stakes, challenge_bond=1,
    )  # fmt: skip
    job = await post(ledger, contracts, client, BlobRef(Digest(fixed.spec), 4), (), fixed, (BUDGET,), intent=f"small job/{now}")
    for signer, role in seats:
        committed = bytes([1]) * 32 if role is Role.VERIFIER else bytes(32)
        await ledger.send(contracts.cohort.enrol(job, int(role), committed), signer, intent=f"seat/{job}/{role}")
    await ledger.send(contracts.rounds.start(job), client, intent=f"start/{job}")
    return job


def terms() -> structs.Terms:
    """Terms that the contract takes: 100 s to enrol, 20 s of patience, 10 s of window."""
    return structs.Terms(
        spec=sha256(b"spec"), genesis=sha256(b"genesis"), acceptance=bytes(32), rounds=4, milestones=2, quorum=2, verifiers=3,
        coordinator_bps=500, verifier_bps=1_000, enrol_by=NOW + 100, patience=20, window=10, deadline=NOW + 1_000, trainer_stake=100,
        coordinator_stake=1_000, verifier_stake=500, challenge_bond=50, max_trainers=4,
    )  # fmt: skip
