"""A federated job's specification: the blob whose digest the ledger holds, and what every party derives from it in the same way."""

from __future__ import annotations

import math
from functools import cached_property

import msgspec

from hansa.core.encoding import canonical, decode, sha256
from hansa.core.errors import DigestMismatch, FormatError
from hansa.core.types import BlobRef, Digest
from hansa.learning.compression.choice import AnyCompression
from hansa.learning.pace import Pace
from hansa.learning.robust import AnyRule
from hansa.learning.schema import Schema
from hansa.learning.strategies import AnyStrategy
from hansa.learning.strategies.fedbuff import FedBuff
from hansa.learning.strategy import derive_seed
from hansa.learning.topology.declaration import Star, Topology
from hansa.model.architectures import Architecture, Objective, check_objective, layout
from hansa.model.layout import Layout
from hansa.model.update import MAX_WEIGHT, check_range
from hansa.model.update_format import UpdateFormat
from hansa.rounds import fitting
from hansa.rounds.job import JobState
from hansa.rounds.pipeline import Pipeline
from hansa.rounds.staleness import base_of

PROTOCOL = "hansa/1"
MAX_SPEC = 1 << 20
PPM = 1_000_000
"""Metrics travel and are signed as parts per million, integers."""


class Acceptance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes a model acceptable: `metric` on an opened shard at least `baseline` + `margin`, both in parts per million (R11).

    `against` names the baseline in words, so that a reader knows what was beaten.
    """

    metric: str
    baseline: int
    margin: int
    against: str


class JobSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Everything about a job that is not money or time. FormatError when the parts do not fit together.

    `bound` is the largest change of one weight that an update carries; with `bits` it fixes the public scales. `max_weight` 1 means
    that every site counts the same and no row count leaves a site (R9). `progress` is a public blob of examples for the live figures.
    An update is clipped to the norm `clip` (0: not at all), then compressed; a `rule` takes the place of the weighted mean. A slow site
    may train less than the strategy says, within the bounds of `pace`.
    """

    title: str
    data: Schema
    architecture: Architecture
    objective: Objective
    strategy: AnyStrategy
    seed: int
    genesis: BlobRef
    progress: BlobRef
    acceptance: Acceptance
    bound: float = 1.0
    bits: int = 16
    max_weight: int = 1
    clip: float = 0.0
    compression: AnyCompression | None = None
    rule: AnyRule | None = None
    topology: Topology = Star()
    pace: Pace | None = None
    protocol: str = PROTOCOL

    def __post_init__(self) -> None:
        if self.protocol != PROTOCOL:
            raise FormatError(f"the job is of protocol '{self.protocol}', this node speaks '{PROTOCOL}'; it abstains (R18)")
        if not 1 <= self.max_weight <= MAX_WEIGHT or not 0 <= self.seed < 1 << 53:
            raise FormatError(f"the job's max_weight must be 1 to {MAX_WEIGHT} and its seed below 2^53")
        check_objective(self.architecture, self.objective)
        check_range(1, self.max_weight, self.bits)
        if not 0 <= self.clip < math.inf:
            raise FormatError(f"updates are clipped to a positive, finite norm, or not at all with 0, not to {self.clip}")
        if not self.topology.networked:
            raise FormatError("jobs run over the star; other topologies run in simulation (`hansa simulate`)")
        fitting.check_architecture(self.strategy, self.architecture)
        fitting.check_weights(self.strategy, self.max_weight)
        fitting.check_sums(self.strategy, self.bits, self.clip, self.compression)
        fitting.check_pace(self.strategy, self.pace)
        if self.rule is not None:
            fitting.check_rule(self.rule, self.strategy, self.compression, self.max_weight)

    @cached_property
    def layout(self) -> Layout:
        return layout(self.architecture)

    @cached_property
    def pipeline(self) -> Pipeline:
        """From a site's vector to the server's mean; its public scales come from the spec alone, never from a sender."""
        return Pipeline.of(self.strategy, self.layout, self.bound, self.bits, clip=self.clip, compression=self.compression, rule=self.rule)

    @property
    def asynchronous(self) -> bool:
        """Whether a round ends as soon as enough updates have come, whoever is still at work."""
        return isinstance(self.strategy, FedBuff)

    @property
    def staleness(self) -> int:
        """How many rounds ago the model may have been current that an update was made from."""
        return self.strategy.staleness if isinstance(self.strategy, FedBuff) else 0

    def round_seed(self, round: int) -> int:
        """The public seed of a round, known before anybody trains: for what must be the same at every site."""
        return derive_seed(self.seed, round, "every site")

    def update_format(self, job: JobState, round: int | None = None) -> UpdateFormat:
        """How updates made from the model of a round look on the wire, the current one's if none is named."""
        made = job.round if round is None else round
        grid, packing = self.pipeline.summed, self.pipeline.packing(self.round_seed(made))
        return UpdateFormat(
            job.id, made, Digest(base_of(job, made)), Digest(job.terms.spec), grid.layout, grid.scales, grid.bits, self.max_weight, packing
        )


def write_spec(spec: JobSpec) -> bytes:
    """The RFC 8785 form; its sha256 is the job's spec digest and, below 1 MiB, its blob name."""
    return canonical(spec)


def read_spec(data: bytes, digest: bytes) -> JobSpec:
    """The spec that the ledger names; DigestMismatch or FormatError otherwise."""
    if sha256(data) != digest:
        raise DigestMismatch("the job's specification does not match the digest on the ledger; ask another holder")
    return decode(data, JobSpec, limit=MAX_SPEC)
