"""A job over a logistic regression of three columns, with updates that are written down, not trained."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from hansa.core.encoding import sha256
from hansa.core.types import Address, BlobRef, Digest
from hansa.identity.statements import UpdateStatement
from hansa.learning.schema import Numeric, Schema
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategy import LocalTraining
from hansa.model import codec
from hansa.model.architectures import Linear, Objective, initial
from hansa.model.state import ModelState
from hansa.model.update import Update
from hansa.rounds.job import JobState
from hansa.rounds.manifest import Accepted
from hansa.rounds.spec import Acceptance, JobSpec, write_spec
from tests.rounds.states import running

BASE: ModelState = initial(Linear(3), 7)
GENESIS = codec.encode(BASE)
SPEC = JobSpec(
    title="three columns", data=Schema(tuple(Numeric(each) for each in "abc"), "label", {"no": 0, "yes": 1}), architecture=Linear(3),
    objective=Objective.BINARY, strategy=FedAvg(LocalTraining(rate=0.1, batch=8, epochs=1)), seed=1,
    genesis=BlobRef(sha256(GENESIS), len(GENESIS)), progress=BlobRef(b"p" * 32, 1), acceptance=Acceptance("accuracy", 500_000, 0, "chance"),
    max_weight=100,
)  # fmt: skip
DATASET = Digest(b"t" * 32)


def job() -> JobState:
    """Round 1 open on the genesis model."""
    state = running()
    spec = sha256(write_spec(SPEC))
    return replace(state, base=SPEC.genesis.digest, terms=replace(state.terms, spec=spec, genesis=SPEC.genesis.digest))


def update(state: JobState, trainer: str, value: int, weight: int = 1) -> tuple[Accepted, bytes]:
    """An update whose every coordinate is `value` steps of the public scale."""
    made = Update(SPEC.layout, SPEC.pipeline.grid.scales, np.full(SPEC.layout.size, value, np.int16), weight)
    blob = SPEC.update_format(state).encode(made, DATASET)
    said = UpdateStatement(state.id, state.round, Address(trainer), state.base, sha256(blob), len(blob), weight, DATASET)
    return Accepted(said, b"s" * 65), blob
