"""A federated job's specification: the blob whose digest the ledger holds, and what every party derives from it in the same way."""

from __future__ import annotations

from functools import cached_property

import msgspec

from hansa.core.encoding import canonical, decode, sha256
from hansa.core.errors import DigestMismatch, FormatError
from hansa.core.types import BlobRef, Digest
from hansa.learning.schema import Schema
from hansa.learning.strategies.fedavg import FedAvg
from hansa.model.architectures import Architecture, Objective, check_objective, layout
from hansa.model.layout import Layout
from hansa.model.update import MAX_WEIGHT, Scales, check_range, uniform_scales
from hansa.model.update_format import UpdateFormat
from hansa.rounds.job import JobState

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
    """

    title: str
    data: Schema
    architecture: Architecture
    objective: Objective
    strategy: FedAvg
    seed: int
    genesis: BlobRef
    progress: BlobRef
    acceptance: Acceptance
    bound: float = 1.0
    bits: int = 16
    max_weight: int = 1
    protocol: str = PROTOCOL

    def __post_init__(self) -> None:
        if self.protocol != PROTOCOL:
            raise FormatError(f"the job is of protocol '{self.protocol}', this node speaks '{PROTOCOL}'; it abstains (R18)")
        if not 1 <= self.max_weight <= MAX_WEIGHT or not 0 <= self.seed < 1 << 53:
            raise FormatError(f"the job's max_weight must be 1 to {MAX_WEIGHT} and its seed below 2^53")
        check_objective(self.architecture, self.objective)
        check_range(1, self.max_weight, self.bits)

    @cached_property
    def layout(self) -> Layout:
        return layout(self.architecture)

    @cached_property
    def scales(self) -> Scales:
        """One per tensor, from the spec alone, never from a sender."""
        return uniform_scales(self.layout, self.bound, self.bits)

    def update_format(self, job: JobState) -> UpdateFormat:
        """How updates of the job's current round look on the wire."""
        return UpdateFormat(
            job.id, job.round, Digest(job.base), Digest(job.terms.spec), self.layout, self.scales, self.bits, self.max_weight
        )


def write_spec(spec: JobSpec) -> bytes:
    """The RFC 8785 form; its sha256 is the job's spec digest and, below 1 MiB, its blob name."""
    return canonical(spec)


def read_spec(data: bytes, digest: bytes) -> JobSpec:
    """The spec that the ledger names; DigestMismatch or FormatError otherwise."""
    if sha256(data) != digest:
        raise DigestMismatch("the job's specification does not match the digest on the ledger; ask another holder")
    return decode(data, JobSpec, limit=MAX_SPEC)
