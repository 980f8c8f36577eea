"""An order: a federated job as its client writes it down - what is learnt, by whose rows it is judged, for how much money, until when."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec
import numpy as np

from hansa.chain.bindings import structs
from hansa.core.errors import ConfigError, FormatError
from hansa.core.types import BlobRef, Digest
from hansa.learning import data, shards
from hansa.learning.compression.choice import AnyCompression
from hansa.learning.examples import Examples, split
from hansa.learning.normalisation import standardised
from hansa.learning.pace import Pace
from hansa.learning.robust import AnyRule
from hansa.learning.schema import Schema
from hansa.learning.strategies import AnyStrategy
from hansa.learning.topology.declaration import Star, Topology
from hansa.model import codec
from hansa.model.architectures import Architecture, Cnn, Linear, Lora, Mlp, Objective, Transformer, Trees, initial, inputs, layout
from hansa.rounds.fitting import check_seats, check_time
from hansa.rounds.spec import PPM, Acceptance, JobSpec
from hansa.storage import unixfs

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


class Adapter(msgspec.Struct, frozen=True, tag="lora", forbid_unknown_fields=True):
    """As `model.architectures.Lora`, but `weights` is the path of the frozen model, as `hansa model save` writes it."""

    base: Linear | Mlp | Cnn | Transformer
    weights: str
    rank: int
    alpha: float
    targets: tuple[str, ...] = ()


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One job. `budget` is in tokens, split evenly over `milestones`; paths are relative to the order's file."""

    title: str
    budget: str
    rounds: int
    seats: Seats
    times: Times
    data_schema: Schema = msgspec.field(name="schema")
    architecture: Linear | Mlp | Cnn | Transformer | Trees | Adapter
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
    pace: Pace | None = None
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
    """The blobs of an order: the model it starts from, the public rows, one sealed shard a milestone, what an adapter adapts (else empty);
    the architecture, which names that by its digest; and the baseline in ppm."""

    architecture: Architecture
    genesis: bytes
    progress: bytes
    sealed: tuple[bytes, ...]
    baseline: int
    against: str
    adapted: bytes = b""


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
    """Read the client's rows and the model that an adapter adapts, and make the blobs.

    DataError when the rows do not fit the schema or are too few to divide, FormatError when the adapter's model is not of its base.
    """
    rows = data.read(folder / order.held.path, order.data_schema)
    architecture, adapted = _architecture(order, folder)
    if inputs(architecture) != order.data_schema.width:
        raise ConfigError(f"the architecture takes {inputs(architecture)} inputs, but the schema's columns make {order.data_schema.width}")
    rows = standardised(rows, order.data_schema)
    progress, rest = split(rows, order.held.progress, order.seed % (1 << 32))
    baseline, against = _baseline(order, rows)
    return Prepared(
        architecture=architecture,
        genesis=codec.encode(initial(architecture, order.seed)),
        progress=shards.write(progress),
        sealed=tuple(shards.write(shard) for shard in _shards(rest, order.milestones, order.seed)),
        baseline=baseline,
        against=against,
        adapted=adapted,
    )


def _architecture(order: Order, folder: Path) -> tuple[Architecture, bytes]:
    """The declared architecture, an adapter's with the digest of the model in its file, and that model's bytes."""
    declared = order.architecture
    if not isinstance(declared, Adapter):
        return declared, b""
    path, like = folder / declared.weights, layout(declared.base)
    try:
        # One byte more than a right one has, so that a wrong one is seen without being read to its end.
        with path.open("rb") as file:
            found = file.read(codec.size(like) + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); the order names it as the model that its adapter adapts") from error
    try:
        codec.decode(found, like)
    except FormatError as error:
        raise FormatError(f"{path.name} does not hold the model that the adapter's base declares: {error}") from error
    return Lora(declared.base, unixfs.root(found), declared.rank, declared.alpha, declared.targets), found


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
    text = order.data_schema.text is not None
    if not text and rows.labels.dtype != np.int64:
        raise ConfigError("a job is accepted by its share of right answers; its label needs classes")
    if order.held.baseline is not None:
        return round(order.held.baseline * PPM), "the order's own baseline"
    counts = np.bincount(rows.features[:, 1:].astype(np.int64).reshape(-1) if text else rows.labels)
    return PPM * int(counts.max()) // int(counts.sum()), f"always the commonest {'token' if text else 'class'}"


def specification(order: Order, prepared: Prepared, genesis: BlobRef, progress: BlobRef) -> JobSpec:
    """What the ledger names by its digest; FormatError or ProtocolError when the parts of the order do not fit together."""
    check_seats(order.strategy, order.rule, order.seats.quorum, order.seats.trainers)
    check_time(order.strategy, order.pace, order.rounds, order.times.patience)
    acceptance = Acceptance("accuracy", prepared.baseline, round(order.held.margin * PPM), prepared.against)
    return JobSpec(
        title=order.title, data=order.data_schema, architecture=prepared.architecture, objective=order.objective,
        strategy=order.strategy, seed=order.seed, genesis=genesis, progress=progress, acceptance=acceptance, bound=order.bound,
        bits=order.bits, max_weight=order.max_weight, clip=order.clip, compression=order.compression, rule=order.rule,
        topology=order.topology, pace=order.pace,
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
