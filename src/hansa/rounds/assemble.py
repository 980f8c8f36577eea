"""One round's result from its updates: what the coordinator anchors and what every verifier recomputes, by the same lines of code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hansa.core.errors import ProtocolError
from hansa.core.types import Address, Digest, Wei
from hansa.learning.strategy import ServerState, mean_of
from hansa.model import codec, vectors
from hansa.model.aggregate import Aggregate
from hansa.model.state import ModelState
from hansa.model.update import Update, check_range
from hansa.rounds.anchor import Anchor
from hansa.rounds.credits import add, credits_root, earned, round_price
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted
from hansa.rounds.spec import JobSpec


@dataclass(frozen=True)
class Standing:
    """Where the last final round left a job: the model, cumulative credits, and the blob of the server's state, empty before round 1 and
    for strategies that keep none."""

    model: ModelState
    credits: Mapping[Address, Wei] = field(default_factory=dict)
    server: bytes = b""


@dataclass(frozen=True)
class Outcome:
    """The recomputable part of a round: exact sum, next model, cumulative credits, the server's next state (empty when it keeps none)."""

    aggregate: bytes
    model: bytes
    credits: dict[Address, Wei]
    server: bytes = b""


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
    spec: JobSpec, job: JobState, before: Standing, accepted: Sequence[Accepted], blobs: Mapping[bytes, bytes], coordinator: Address
) -> Outcome:
    """Sum, step and pay one round; the order of `accepted` does not matter. FormatError when the server's state is not the strategy's."""
    check_range(max(len(accepted), 1), spec.max_weight, spec.bits)
    aggregate = Aggregate.of(read_update(spec, job, each, blobs[each.statement.update]) for each in accepted)
    model, server = step(spec, before, aggregate)
    milestone, index = divmod(job.round - 1, job.rounds_per_milestone)
    price = round_price(job.nets[milestone], job.rounds_per_milestone, index)
    trainers = [each.statement.trainer for each in accepted]
    shares = earned(price, coordinator, trainers, job.terms.coordinator_bps, job.terms.verifier_bps)
    return Outcome(aggregate.encode(), model, add(before.credits, shares), server)


def step(spec: JobSpec, before: Standing, aggregate: Aggregate) -> tuple[bytes, bytes]:
    """The blobs of the next model and of the server's next state."""
    state = server_state(spec, before)
    model, after = spec.strategy.step(before.model, mean_of(aggregate), state)
    return codec.encode(model), vectors.encode(after) if after else b""


def server_state(spec: JobSpec, standing: Standing) -> ServerState:
    """What the server starts a round with."""
    like = spec.strategy.init(standing.model)
    return vectors.decode(standing.server, like) if standing.server else like


def draft(job: JobState, made: Outcome, roots: tuple[Digest, Digest, Digest, Digest], manifest_size: int, accepted: int) -> Anchor:
    """The anchor of an outcome; `roots` are the digests of updates tree, manifest, aggregate and model."""
    updates, manifest, aggregate, model = roots
    return Anchor(
        job=job.id, round=job.round, attempt=job.attempt, base=job.base, updates=updates, manifest=manifest, manifest_size=manifest_size,
        aggregate=aggregate, model=model, model_size=len(made.model), credits=credits_root(job.id, made.credits), accepted=accepted,
    )  # fmt: skip
