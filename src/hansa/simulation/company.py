"""A whole company around one job: accounts, money, stakes and seats, ready to run."""

from __future__ import annotations

from collections.abc import Sequence

from hansa.core.encoding import sha256
from hansa.core.types import Role
from hansa.rounds.events import Terms
from hansa.simulation.cohort import commitment
from hansa.simulation.miniature import GENESIS
from hansa.simulation.party import Client, Party
from hansa.simulation.verifier import Verifier
from hansa.simulation.worker import Coordinator, Trainer
from hansa.simulation.world import World

CLIENT = "0x" + "c1" * 20
WEALTH = 1_000_000
BUDGET = 100_003


def account(role: Role, number: int) -> str:
    """The account of the number-th party of a role, as the ledger spells it."""
    return f"0x{int(role):02x}{number:038x}"


def terms(
    now: int,
    trainers: int,
    verifiers: int,
    *,
    room: int = 0,
    quorum: int = 0,
    rounds: int = 2,
    milestones: int = 1,
    acceptance: bytes = bytes(32),
) -> Terms:
    """Terms with times of seconds: twenty to enrol, twenty-four of patience, sixteen of window; `room` for more trainers than that."""
    return Terms(
        spec=sha256(b"spec"), genesis=sha256(GENESIS), acceptance=acceptance, rounds=rounds, milestones=milestones,
        quorum=quorum or trainers, verifiers=verifiers, coordinator_bps=500, verifier_bps=1_000, enrol_by=now + 20, patience=24, window=16,
        deadline=now + 60 + 120 * rounds, trainer_stake=1_000, coordinator_stake=10_000, verifier_stake=5_000, challenge_bond=500,
        max_trainers=trainers + room,
    )  # fmt: skip


def company(
    trainers: Sequence[type[Trainer]] = (Trainer,) * 4,
    coordinators: Sequence[type[Coordinator]] = (Coordinator,) * 2,
    verifiers: Sequence[type[Verifier]] = (Verifier,) * 3,
    *,
    late: Sequence[type[Trainer]] = (),
    room: int = 0,
    seats: int = 0,
    quorum: int = 0,
    rounds: int = 2,
    milestones: int = 1,
    seed: int = 0,
    loss: float = 0.0,
    delay: float = 0.0,
    max_gap: int = 600,
    acceptance: bytes = bytes(32),
    shards: tuple[tuple[bytes, bytes, tuple[bytes, ...]], ...] = (),
) -> World:
    """An open job in which everybody has enrolled but the `late` trainers, numbered after the others, who have only staked.

    There is `room` for so many trainers more than enrolled; `seats` below the number of verifiers makes a draw necessary.
    """
    kinds: list[tuple[Role, Sequence[type[Party]]]] = [
        (Role.TRAINER, (*trainers, *late)), (Role.COORDINATOR, coordinators), (Role.VERIFIER, verifiers)
    ]  # fmt: skip
    members = {account(role, number): kind for role, each in kinds for number, kind in enumerate(each)}
    world = World({name: WEALTH for name in (*members, CLIENT)}, seed=seed, loss=loss, delay=delay, max_gap=max_gap)
    fixed = terms(
        world.referee.tick(),
        len(trainers),
        seats or len(verifiers),
        room=room,
        quorum=quorum,
        rounds=rounds,
        milestones=milestones,
        acceptance=acceptance,
    )
    world.open(CLIENT, fixed, [BUDGET] * milestones)
    world.add(Client(world, CLIENT, shards))
    for name, kind in members.items():
        party = kind(world, name)
        world.add(party)
        world.purse.stake(name, WEALTH // 10)
        if kind.role is Role.TRAINER and name >= account(Role.TRAINER, len(trainers)):
            continue
        committed = commitment(world.referee.job, name, *party.value()) if isinstance(party, Verifier) else b""
        world.referee.enrol(name, kind.role or Role.TRAINER, committed)
    return world
