"""The hospitals' study: the job the demo posts, the client's held-out rows as shards, and what each could have done alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hansa.core.encoding import encode
from hansa.core.errors import ProtocolError
from hansa.core.types import BlobRef
from hansa.learning import shards
from hansa.learning.calls import EvaluateCall, Evaluated, Rows, TrainCall, Trained, read_answer
from hansa.learning.examples import Examples, digest, split
from hansa.learning.metrics import Evaluation
from hansa.learning.normalisation import Normalisation
from hansa.learning.schema import Numeric, Schema
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategy import LocalTraining, derive_seed
from hansa.model import codec
from hansa.model.architectures import Linear, Objective, initial
from hansa.model.state import ModelState
from hansa.rounds.spec import PPM, Acceptance, JobSpec
from hansa.runtime.on_demand import Workers
from hansa.simulation.hospitals import Clinic, Patients

SEED = 20
LOCAL = LocalTraining(rate=0.05, batch=16, epochs=3, momentum=0.9)
SECONDS = 120.0


def schema(columns: tuple[str, ...]) -> Schema:
    """What every hospital declares about its file."""
    return Schema(tuple(Numeric(column) for column in columns), "diagnosis", {"benign": 0, "malignant": 1})


def examples(clinic: Clinic) -> Examples:
    """One party's rows, normalised with its own means and deviations."""
    raw = Examples(clinic.features.astype(np.float32), clinic.labels)
    return Normalisation.fit(raw).apply(raw)


@dataclass(frozen=True)
class Held:
    """The client's rows: one part public for progress, one sealed shard per milestone, and all of them together for the last table."""

    progress: bytes
    sealed: tuple[bytes, ...]
    whole: Examples


def hold(client: Clinic, milestones: int) -> Held:
    """A third of the client's rows for progress, the rest in equal stratified shards."""
    whole = examples(client)
    progress, rest = split(whole, 1 / 3, SEED)
    sealed = []
    for left in range(milestones, 1, -1):
        shard, rest = split(rest, 1 / left, SEED + left)
        sealed.append(shards.write(shard))
    return Held(shards.write(progress), (*sealed, shards.write(rest)), whole)


def specification(columns: tuple[str, ...], genesis: BlobRef, progress: BlobRef, majority: float) -> JobSpec:
    """Logistic regression by federated averaging; a model passes when it beats always saying the commoner diagnosis by a tenth."""
    return JobSpec(
        title="benign or malignant, from thirty measurements of a biopsy",
        data=schema(columns),
        architecture=Linear(len(columns)),
        objective=Objective.BINARY,
        strategy=FedAvg(LOCAL),
        seed=SEED,
        genesis=genesis,
        progress=progress,
        acceptance=Acceptance("accuracy", round(majority * PPM), PPM // 10, "always the commoner diagnosis"),
        max_weight=1 << 10,
    )


def first_model(columns: tuple[str, ...]) -> ModelState:
    return initial(Linear(len(columns)), SEED)


class Comparison:
    """Training as one party alone, or as one party with everybody's rows, with as many passes as the network makes."""

    def __init__(self, workers: Workers, patients: Patients, held: Held, rounds: int) -> None:
        self._workers, self._patients, self._held, self._rounds = workers, patients, held, rounds
        self._start = first_model(patients.columns)

    async def alone(self) -> Mapping[str, Evaluation]:
        """Each hospital by itself."""
        return {name: await self._trained(examples(clinic), name) for name, clinic in self._patients.hospitals.items()}

    async def pooled(self) -> Evaluation:
        """All rows in one place: what the law forbids the hospitals, as the mark to reach."""
        clinics = list(self._patients.hospitals.values())
        rows = Clinic(np.concatenate([each.features for each in clinics]), np.concatenate([each.labels for each in clinics]))
        return await self._trained(examples(rows), "pooled")

    async def federated(self, model: bytes) -> Evaluation:
        return await self._evaluate(codec.decode(model, self._start.layout))

    async def _trained(self, rows: Examples, name: str) -> Evaluation:
        local = LocalTraining(rate=LOCAL.rate, batch=LOCAL.batch, epochs=LOCAL.epochs * self._rounds, momentum=LOCAL.momentum)
        call = TrainCall(
            Linear(len(self._patients.columns)), Objective.BINARY, FedAvg(local), derive_seed(SEED, 0, name), _named(rows), attached=True
        )
        buffers = [self._start.vector.tobytes(), rows.features.tobytes(), rows.labels.tobytes()]
        header, answer = await self._workers.run("train", encode(call), buffers, timeout=SECONDS)
        if not isinstance(read_answer(header), Trained):
            raise ProtocolError("the worker answered a training call with something else")
        return await self._evaluate(ModelState(self._start.layout, self._start.vector + np.frombuffer(answer[0], "<f4")))

    async def _evaluate(self, state: ModelState) -> Evaluation:
        rows = self._held.whole
        call = EvaluateCall(Linear(len(self._patients.columns)), Objective.BINARY, _named(rows), attached=True)
        buffers = [state.vector.tobytes(), rows.features.tobytes(), rows.labels.tobytes()]
        header, _ = await self._workers.run("evaluate", encode(call), buffers, timeout=SECONDS)
        answer = read_answer(header)
        if not isinstance(answer, Evaluated):
            raise ProtocolError("the worker answered an evaluation with something else")
        return answer.evaluation


def _named(rows: Examples) -> Rows:
    return Rows.of(digest(rows, bytes(32)).hex(), rows)
