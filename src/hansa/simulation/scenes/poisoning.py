"""Scene "poisoning": one hospital sends the opposite of what it learnt; a robust rule holds it off, the plain mean does not."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec.structs import replace

from hansa.learning.robust.trimmed_mean import TrimmedMean
from hansa.rounds.job import JobState
from hansa.rounds.spec import JobSpec
from hansa.simulation.plan import TOKEN
from hansa.simulation.poisoner import FACTOR
from hansa.simulation.scenes.stage import Stage
from hansa.simulation.study import hold

POISONER = "hopital-nord"
ROUNDS = 3
"""Before the round in which the first coordinator lies."""
BUDGET = 60 * TOKEN
RULE = TrimmedMean(1)


class PoisoningResult(msgspec.Struct, frozen=True):
    """Accuracy after each round on the client's patients, under attack, with the plain mean and with the rule; without the attack."""

    ok: bool
    mean: tuple[float, ...]
    rule: tuple[float, ...]


class Poisoning:
    """One run of the scene: two jobs side by side on the same nodes, alike but for the rule."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.tell = stage, stage.tell
        self.held = hold(stage.patients.client, 1)

    async def run(self) -> PoisoningResult:
        tell = self.tell
        tell.title("A hospital that poisons")
        tell.say(f"{POISONER} now sends {FACTOR:g} times what it learnt; two jobs run side by side, alike but for how updates are combined")
        tell.say("no secure aggregation here: coordinator and verifiers see each update, and recompute the rule bit for bit")
        plain = await self.stage.post(self.held, BUDGET, rounds=ROUNDS, milestones=1, change=self._plain)
        robust = await self.stage.post(self.held, BUDGET, rounds=ROUNDS, milestones=1, change=self._robust)
        with tell.working("both jobs at work"):
            states = await asyncio.gather(*(self.stage.until(job, lambda state: len(state.final) == ROUNDS) for job in (plain, robust)))
        self.stage.weigh()
        mean, rule = [await self._accuracy(state) for state in states]
        tell.curves("accuracy after round", {"plain mean": mean, f"trimmed mean, f = {RULE.f}": rule})
        ok = tell.check(rule[-1] > self.stage.majority + 0.2, f"with the rule the model is right in {rule[-1]:.1%}")
        ok &= tell.check(
            mean[-1] < rule[-1] - 0.1, f"without it in {mean[-1]:.1%}; the commoner diagnosis alone: {self.stage.majority:.1%}"
        )
        return PoisoningResult(ok, tuple(mean), tuple(rule))

    def _plain(self, spec: JobSpec) -> JobSpec:
        return replace(spec, title="the study under attack, plain mean", max_weight=1)

    def _robust(self, spec: JobSpec) -> JobSpec:
        return replace(spec, title="the study under attack, trimmed mean", max_weight=1, rule=RULE)

    async def _accuracy(self, state: JobState) -> list[float]:
        """On all of the client's patients, after each round."""
        comparison = self.stage.comparison(self.held, ROUNDS)
        found = [await comparison.federated(await self.stage.model_after(state, number)) for number in range(1, ROUNDS + 1)]
        return [each.accuracy or 0.0 for each in found]
