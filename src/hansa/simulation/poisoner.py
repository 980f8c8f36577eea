"""A hospital that poisons: it trains honestly and sends the opposite, many times over, as far as the public scales allow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hansa.learning.strategy import Vectors
from hansa.model.state import ModelState, Vector
from hansa.node.compose import make_trainer
from hansa.node.config import NodeConfig
from hansa.node.node import Parts
from hansa.node.trainer import TrainerNode
from hansa.rounds.job import JobState
from hansa.rounds.spec import JobSpec

FACTOR = -8.0


class PoisoningTrainer(TrainerNode):
    """Honest in jobs before number `first`; from then on its updates are `FACTOR` times what it learnt."""

    first: int

    @classmethod
    def make(cls, config: NodeConfig, home: Path, parts: Parts, first: int) -> PoisoningTrainer:
        """An ordinary trainer of that configuration, turned."""
        honest = make_trainer(config, home, parts)
        turned = cls(parts, honest._schema, honest._rows, honest._digest, disclose_rows=honest._disclose)
        turned.first = first
        return turned

    async def change(
        self, job: JobState, spec: JobSpec, round: int, base: ModelState, told: Vectors, kept: Vectors
    ) -> tuple[Vector, Vectors]:
        honest, keeps = await super().change(job, spec, round, base, told, kept)
        return (honest if job.id < self.first else (FACTOR * honest).astype(np.float32)), keeps
