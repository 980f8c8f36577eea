"""An order: a federated job as its client writes it down - what is learnt, by whose rows it is judged, for how much money, until when."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec
import numpy as np

from hansa.chain.bindings import structs
from hansa.core.errors import ConfigError
from hansa.core.types import BlobRef, Digest
from hansa.learning import data, shards
from hansa.learning.compression.choice import AnyCompression
from hansa.learning.examples import Examples, split
from hansa.learning.normalisation import Normalisation
from hansa.learning.robust import AnyRule
from hansa.learning.schema import Schema
from hansa.learning.strategies import AnyStrategy
from hansa.learning.topology.declaration import Star, Topology
from hansa.model import codec
from hansa.model.architectures import Architecture, Objective, initial, inputs
from hansa.rounds.fitting import check_seats
from hansa.rounds.spec import PPM, Acceptance, JobSpec

DECIMALS = 18


class Held(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The client's own rows, in no trainer's data: a public share for progress, the rest sealed, one shard a milestone (R11).

    `margin` is how much better than `baseline` the share of right answers must be; without a baseline it is that of always giving the
    commonest class of these rows.
    """

    path: str
    progress: float = 0.3
    margin: float = 0.0
    baseline: float | None = None


class Seats(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many of each role, and what each stakes, in tokens. At least `quorum` of at most `trainers` updates make a round."""

    trainers: int
    quorum: int
    verifiers: int = 3
    trainer_stake: str = "100"
    coordinator_stake: str = "1000"
    verifier_stake: str = "500"
    challenge_bond: str = "50"


class Times(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds: to enrol after posting, for one round (`patience`), to challenge an anchor (`window`); `deadline` may also be a date."""

    enrol: int
    patience: int
    window: int
    deadline: int | datetime.datetime


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One job. `budget` is in tokens, split evenly over `milestones`; paths are relative to the order's file."""

    title: str
    budget: str
    rounds: int
    seats: Seats
    times: Times
    data_schema: Schema = msgspec.field(name="schema")
    architecture: Architecture
    objective: Objective
    strategy: AnyStrategy
    held: Held
    seed: int
    milestones: int = 1
    bound: float = 1.0
    bits: int = 16
    max_weight: int = 1
    clip: float = 0.0
    compression: AnyCompression | None = None
    rule: AnyRule | None = None
    topology: Topology = Star()
    coordinator_bps: int = 500
    verifier_bps: int = 1_000

    def budgets(self) -> tuple[int, ...]:
        """Each milestone's budget in the smallest unit; the last takes what does not divide."""
        whole = amount(self.budget)
        if self.milestones < 1:
            raise ConfigError(f"an order has at least one milestone, not {self.milestones}")
        each = whole // self.milestones
        return (*(each for _ in range(self.milestones - 1)), whole - each * (self.milestones - 1))


@dataclass(frozen=True)
class Prepared:
    """The blobs of an order: the model it starts from, the public rows, one sealed shard a milestone; and the baseline in ppm."""

    genesis: bytes
    progress: bytes
    sealed: tuple[bytes, ...]
    baseline: int
    against: str


class Parent(msgspec.Struct, frozen=True):
    """The model that a job goes on from: its digest, its blob, its share of right answers on the job's sealed rows in parts per million."""

    digest: bytes
    model: bytes
    accuracy: int


def amount(text: str) -> int:
    """Tokens as people write them ("600", "0.5") in the smallest unit; ConfigError for anything else."""
    try:
        value = Decimal(text.replace("_", ""))
        scaled = value.scaleb(DECIMALS)
    except InvalidOperation:
        raise ConfigError(f"'{text}' is not an amount of tokens; write a number such as 600 or 0.5") from None
    if not scaled.is_finite() or scaled < 0 or scaled != scaled.to_integral_value() or scaled >= 1 << 128:
        raise ConfigError(f"'{text}' is not an amount of tokens; write a number of 0 or more with at most {DECIMALS} decimals")
    return int(scaled)


def prepare(order: Order, folder: Path) -> Prepared:
    """Read the client's rows and make the blobs; DataError when the rows do not fit the schema or are too few to divide."""
    rows = data.read(folder / order.held.path, order.data_schema)
    if inputs(order.architecture) != order.data_schema.width:
        raise ConfigError(
            f"the architecture takes {inputs(order.architecture)} inputs, but the schema's columns make {order.data_schema.width}"
        )
    rows = Normalisation.fit(rows).apply(rows)
    progress, rest = split(rows, order.held.progress, order.seed % (1 << 32))
    baseline, against = _baseline(order, rows)
    return Prepared(
        genesis=codec.encode(initial(order.architecture, order.seed)),
        progress=shards.write(progress),
        sealed=tuple(shards.write(shard) for shard in _shards(rest, order.milestones, order.seed)),
        baseline=baseline,
        against=against,
    )


def descend(prepared: Prepared, parent: Parent) -> Prepared:
    """The same blobs for a job that starts from a parent and has to be better than that."""
    return replace(prepared, genesis=parent.model, baseline=parent.accuracy, against=f"its parent, version {parent.digest.hex()[:16]}")


def _shards(rows: Examples, count: int, seed: int) -> list[Examples]:
    """`count` parts of about equal size, classes in equal shares."""
    parts = []
    for left in range(count, 1, -1):
        part, rows = split(rows, 1 / left, (seed + left) % (1 << 32))
        parts.append(part)
    return [*parts, rows]


def _baseline(order: Order, rows: Examples) -> tuple[int, str]:
    if rows.labels.dtype != np.int64:
        raise ConfigError("a job is accepted by its share of right answers; its label needs classes")
    if order.held.baseline is not None:
        return round(order.held.baseline * PPM), "the order's own baseline"
    return PPM * int(np.bincount(rows.labels).max()) // len(rows), "always the commonest class"


def specification(order: Order, prepared: Prepared, genesis: BlobRef, progress: BlobRef) -> JobSpec:
    """What the ledger names by its digest; FormatError or ProtocolError when the parts of the order do not fit together."""
    check_seats(order.strategy, order.rule, order.seats.quorum, order.seats.trainers)
    acceptance = Acceptance("accuracy", prepared.baseline, round(order.held.margin * PPM), prepared.against)
    return JobSpec(
        title=order.title, data=order.data_schema, architecture=order.architecture, objective=order.objective,
        strategy=order.strategy, seed=order.seed, genesis=genesis, progress=progress, acceptance=acceptance, bound=order.bound,
        bits=order.bits, max_weight=order.max_weight, clip=order.clip, compression=order.compression, rule=order.rule,
        topology=order.topology,
    )  # fmt: skip


def terms(order: Order, now: int, spec: BlobRef, genesis: BlobRef, acceptance: Digest) -> structs.Terms:
    """The contract's terms for an order that is posted at protocol time `now`."""
    seats, times = order.seats, order.times
    deadline = now + times.deadline if isinstance(times.deadline, int) else int(times.deadline.timestamp())
    return structs.Terms(
        spec=spec.digest, genesis=genesis.digest, acceptance=acceptance, rounds=order.rounds, milestones=order.milestones,
        quorum=seats.quorum, verifiers=seats.verifiers, coordinator_bps=order.coordinator_bps, verifier_bps=order.verifier_bps,
        enrol_by=now + times.enrol, patience=times.patience, window=times.window, deadline=deadline,
        trainer_stake=amount(seats.trainer_stake), coordinator_stake=amount(seats.coordinator_stake),
        verifier_stake=amount(seats.verifier_stake), challenge_bond=amount(seats.challenge_bond), max_trainers=seats.trainers,
    )  # fmt: skip
