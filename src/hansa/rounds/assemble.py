"""One round's result from its updates: what the coordinator anchors and what every verifier recomputes, by the same lines of code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hansa.core.errors import ProtocolError
from hansa.core.types import Address, Digest, Wei
from hansa.learning.strategies.fedbuff import UNIT, FedBuff
from hansa.learning.strategy import ServerState
from hansa.model import codec, vectors
from hansa.model.aggregate import Aggregate
from hansa.model.state import ModelState
from hansa.model.update import Update, check_range
from hansa.rounds.anchor import Anchor, updates_root
from hansa.rounds.credits import add, credits_root, earned, round_price
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted
from hansa.rounds.spec import JobSpec
from hansa.rounds.staleness import Used, check


@dataclass(frozen=True)
class Standing:
    """Where the last final round left a job: the model, cumulative credits, the blob of the server's state (empty before round 1 and for
    strategies that keep none), and in asynchronous jobs which updates of the window were taken."""

    model: ModelState
    credits: Mapping[Address, Wei] = field(default_factory=dict)
    server: bytes = b""
    used: Used = frozenset()


@dataclass(frozen=True)
class Outcome:
    """The recomputable part of a round: exact sum, next model, cumulative credits, the server's next state (empty when it keeps none), and
    whose updates the rule left out (they are paid like the others: a rule judges numbers, not people)."""

    aggregate: bytes
    model: bytes
    credits: dict[Address, Wei]
    server: bytes = b""
    left_out: tuple[Address, ...] = ()


def read_update(spec: JobSpec, job: JobState, accepted: Accepted, data: bytes | memoryview, used: Used = frozenset()) -> Update:
    """The integers behind one signed statement, weighed by their age where the job is asynchronous.

    FormatError or ProtocolError when blob and statement disagree, or when the current round does not take the update.
    """
    said = accepted.statement
    check(job, said, spec.staleness, used)
    header, update = spec.update_format(job, said.round).decode(data)
    if (header.weight, header.dataset) != (said.weight, said.dataset):
        raise ProtocolError(f"the weight or data set inside {said.trainer}'s update is not the one it signed")
    if not isinstance(spec.strategy, FedBuff):
        return update
    return Update(update.layout, update.scales, update.values, spec.strategy.discount(job.round - said.round))


def outcome(
    spec: JobSpec, job: JobState, before: Standing, accepted: Sequence[Accepted], blobs: Mapping[bytes, bytes], coordinator: Address
) -> Outcome:
    """Combine, step and pay one round; the order of `accepted` does not matter. FormatError when `before.server` is not the strategy's.

    A blob is asked for when it is read, one after another and each once, so a mapping that gets them then holds few at a time.
    """
    check_range(max(len(accepted), 1), UNIT if spec.asynchronous else spec.max_weight, spec.bits)
    accepted = sorted(accepted, key=lambda each: each.statement.trainer)
    updates = (read_update(spec, job, each, blobs[each.statement.update], before.used) for each in accepted)
    # The draw of a rule follows from the updates themselves: nobody knows it while there is still one to be made (R8).
    aggregate, left_out = spec.pipeline.combine(updates, drawn(updates_root(each.statement for each in accepted)))
    model, server = step(spec, before, aggregate, job.round)
    milestone, index = divmod(job.round - 1, job.rounds_per_milestone)
    price = round_price(job.nets[milestone], job.rounds_per_milestone, index)
    trainers = [each.statement.trainer for each in accepted]
    shares = earned(price, coordinator, trainers, job.terms.coordinator_bps, job.terms.verifier_bps)
    return Outcome(aggregate.encode(), model, add(before.credits, shares), server, tuple(trainers[place] for place in left_out))


def drawn(root: Digest) -> int:
    """The seed of a round's rule: the first 53 bits of the updates' Merkle root."""
    return int.from_bytes(root[:8], "big") >> 11


def step(spec: JobSpec, before: Standing, aggregate: Aggregate, round: int) -> tuple[bytes, bytes]:
    """The blobs of the next model and of the server's next state."""
    mean = spec.pipeline.mean(aggregate, spec.round_seed(round))
    model, after = spec.strategy.step(before.model, mean, server_state(spec, before))
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
