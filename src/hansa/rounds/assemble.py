"""One round's result from its updates: what the coordinator anchors and what every verifier recomputes, by the same lines of code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hansa.core.errors import ProtocolError
from hansa.core.types import Address, Digest, Wei
from hansa.learning.strategy import mean_of
from hansa.model import codec
from hansa.model.aggregate import Aggregate
from hansa.model.state import ModelState
from hansa.model.update import Update, check_range
from hansa.rounds.anchor import Anchor
from hansa.rounds.credits import add, credits_root, earned, round_price
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted
from hansa.rounds.spec import JobSpec


@dataclass(frozen=True)
class Outcome:
    """The recomputable part of a round: exact sum, next model, cumulative credits."""

    aggregate: bytes
    model: bytes
    credits: dict[Address, Wei]


def read_update(spec: JobSpec, job: JobState, accepted: Accepted, data: bytes | memoryview) -> Update:
    """The integers behind one signed statement; FormatError or ProtocolError when blob and statement disagree."""
    header, update = spec.update_format(job).decode(data)
    said = accepted.statement
    if (said.job, said.round, said.base) != (job.id, job.round, job.base):
        raise ProtocolError(f"{said.trainer} signed an update of another job, round or base model")
    if (header.weight, header.dataset) != (said.weight, said.dataset):
        raise ProtocolError(f"the weight or data set inside {said.trainer}'s update is not the one it signed")
    return update


def outcome(
    spec: JobSpec, job: JobState, base: ModelState, accepted: Sequence[Accepted], blobs: Mapping[bytes, bytes],
    before: Mapping[Address, Wei], coordinator: Address,
) -> Outcome:  # fmt: skip
    """Sum, step and pay one round. `before` are the credits of the previous final round; order of `accepted` does not matter."""
    check_range(max(len(accepted), 1), spec.max_weight, spec.bits)
    aggregate = Aggregate.of(read_update(spec, job, each, blobs[each.statement.update]) for each in accepted)
    model, _ = spec.strategy.step(base, mean_of(aggregate), spec.strategy.init(base))
    milestone, index = divmod(job.round - 1, job.rounds_per_milestone)
    price = round_price(job.nets[milestone], job.rounds_per_milestone, index)
    trainers = [each.statement.trainer for each in accepted]
    shares = earned(price, coordinator, trainers, job.terms.coordinator_bps, job.terms.verifier_bps)
    return Outcome(aggregate.encode(), codec.encode(model), add(before, shares))


def draft(job: JobState, made: Outcome, roots: tuple[Digest, Digest, Digest, Digest], manifest_size: int, accepted: int) -> Anchor:
    """The anchor of an outcome; `roots` are the digests of updates tree, manifest, aggregate and model."""
    updates, manifest, aggregate, model = roots
    return Anchor(
        job=job.id, round=job.round, attempt=job.attempt, base=job.base, updates=updates, manifest=manifest, manifest_size=manifest_size,
        aggregate=aggregate, model=model, model_size=len(made.model), credits=credits_root(job.id, made.credits), accepted=accepted,
    )  # fmt: skip
