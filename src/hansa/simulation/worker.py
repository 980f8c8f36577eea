"""Trainers and coordinators of a simulated world, honest ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hansa.core.types import Role
from hansa.rounds import duties
from hansa.rounds.anchor import Anchor
from hansa.rounds.coordinator import CoordinatorFacts, coordinator_duties
from hansa.rounds.duties import Ballot, Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.manifest import Accepted
from hansa.rounds.trainer import TrainerFacts, trainer_duties
from hansa.simulation.miniature import Draft, assemble, train
from hansa.simulation.party import Party
from hansa.simulation.seal import update_seal
from hansa.simulation.verifier import hear


class Trainer(Party):
    role = Role.TRAINER

    def forget(self) -> None:
        self.made: dict[tuple[int, bytes], Accepted] = {}
        self.receipts: set[tuple[int, int, str]] = set()
        self.leaving = False

    def remember(self, kind: str, *values: Any) -> None:
        match kind:
            case "made":
                self.made[(values[0].statement.round, values[0].statement.base)] = values[0]
            case "receipt":
                self.receipts.add(values)
            case "leaving":
                self.leaving = True
            case _:
                super().remember(kind, *values)

    def due(self, job: JobState, now: float) -> list[Duty]:
        own = TrainerFacts(frozenset(self.made), frozenset(self.receipts), frozenset(self.claimed), self.leaving)
        return trainer_duties(job, self.account, own, now)

    def perform(self, job: JobState, duty: Duty) -> None:
        match duty:
            case duties.Train():
                self.world.later(self.thinking, self, lambda: self._train(job, duty))
            case duties.Submit(coordinator=coordinator):
                self._submit(job, coordinator)
                self.ended(duty)
            case duties.RegisterUpdate(round=round):
                accepted = self.made[(job.round, job.base)]
                for seat in job.verifiers:
                    self.world.send(self, seat, lambda verifier: verifier.lodge(accepted, self.blobs[accepted.statement.update]))
                self.transact(duty, lambda: self.world.referee.register_update(self.account, round, accepted.statement.update))
            case _:
                super().perform(job, duty)

    def _train(self, job: JobState, duty: Duty) -> None:
        accepted, blob = train(job, self.account)
        self.keep(blob)
        self.note("made", accepted)
        self.ended(duty)

    def _submit(self, job: JobState, coordinator: str) -> None:
        accepted = self.made[(job.round, job.base)]
        blob = self.blobs[accepted.statement.update]

        def receipt(party: Party) -> None:
            if (job.round, job.attempt, coordinator) not in self.receipts:
                self.note("receipt", job.round, job.attempt, coordinator)

        def arrive(party: Party) -> None:
            if party.bring(accepted, blob, job.attempt):
                self.world.send(party, self.account, receipt)

        self.world.send(self, coordinator, arrive)


class Coordinator(Party):
    role = Role.COORDINATOR

    def forget(self) -> None:
        self.took: dict[tuple[int, bytes], dict[str, Accepted]] = {}
        self.drafts: dict[tuple[int, int], Anchor] = {}
        self.boxes: dict[tuple[int, int], dict[int, Ballot]] = {}
        self.absent: dict[tuple[int, int], dict[str, frozenset[str]]] = {}

    def remember(self, kind: str, *values: Any) -> None:
        match kind:
            case "took":
                said = values[0].statement
                self.took.setdefault((said.round, said.base), {})[said.trainer] = values[0]
            case "draft":
                self.drafts[(values[0].round, values[0].attempt)] = values[0]
            case "ballot":
                at, ballot = values
                self.boxes.setdefault(at, {}).setdefault(ballot.seat, ballot)
            case "absent":
                at, trainer, verifier = values
                said = self.absent.setdefault(at, {})
                said[trainer] = said.get(trainer, frozenset()) | {verifier}
            case _:
                super().remember(kind, *values)

    def due(self, job: JobState, now: float) -> list[Duty]:
        own = CoordinatorFacts(self.took, self.drafts, self.boxes, frozenset(self.claimed), self.absent)
        return coordinator_duties(job, self.account, own, now)

    def bring(self, accepted: Accepted, blob: bytes, attempt: int) -> bool:
        """Take a trainer's update in one attempt of the open round while in office; the answer is the receipt."""
        job, said = self.view, accepted.statement
        current = job.phase is Phase.OPEN and (said.round, said.base, attempt) == (job.round, job.base, job.attempt)
        if not current or job.coordinator != self.account or said.trainer not in job.trainers or accepted.signature != update_seal(said):
            return False
        draft = self.drafts.get((job.round, job.attempt))
        if (draft is not None and draft.base == job.base) or not self.accepts(said.trainer):
            return False
        if said.trainer not in self.took.get((said.round, said.base), {}):
            self.keep(blob)
            self.note("took", accepted)
        return True

    def accepts(self, trainer: str) -> bool:
        return True

    def hear(self, anchor: Anchor, ballot: Ballot) -> bool:
        return hear(self, self.boxes, anchor, ballot)

    def perform(self, job: JobState, duty: Duty) -> None:
        match duty:
            case duties.Assemble(trainers=trainers):
                self.world.later(self.thinking, self, lambda: self._assemble(job, duty, trainers))
            case duties.SendAnchor(anchor=anchor):
                self.world.anchors_sent.setdefault((self.account, anchor.round, anchor.attempt), set()).add(anchor)
                self.transact(duty, lambda: self.world.referee.anchor(self.account, anchor))
            case duties.Collect(trainers=trainers):
                for seat in job.verifiers:
                    self.world.send(self, seat, lambda verifier: self._ask(job, verifier, trainers))
                self.ended(duty)
            case _:
                super().perform(job, duty)

    def _ask(self, job: JobState, verifier: Party, trainers: tuple[str, ...]) -> None:
        """At the verifier: hand over what was left there of these trainers, or say that it holds none."""
        held = {trainer: verifier.lodged(job).get(trainer) for trainer in trainers}
        blobs = {trainer: verifier.blobs[each.statement.update] for trainer, each in held.items() if each is not None}
        self.world.send(verifier, self.account, lambda _: self._collect(job, verifier.account, held, blobs))

    def _collect(self, job: JobState, verifier: str, held: Mapping[str, Accepted | None], blobs: Mapping[str, bytes]) -> None:
        at = (job.round, job.attempt)
        for trainer, accepted in held.items():
            if accepted is not None:
                self.bring(accepted, blobs[trainer], job.attempt)
            elif verifier not in self.absent.get(at, {}).get(trainer, ()):
                self.note("absent", at, trainer, verifier)

    def _assemble(self, job: JobState, duty: Duty, trainers: tuple[str, ...]) -> None:
        took = self.took.get((job.round, job.base), {})
        draft = self.draft(job, [took[trainer] for trainer in trainers])
        # Two holders of every blob before the anchor names it (R17): a crash right after it must not look like withholding.
        if draft is not None and self._place(job, draft, [took[trainer] for trainer in trainers]):
            self.keep(*draft.blobs.values())
            self.note("draft", draft.anchor)
        return self.ended(duty)

    def draft(self, job: JobState, accepted: list[Accepted]) -> Draft | None:
        return assemble(job, self.account, accepted, self.fetch)

    def _place(self, job: JobState, draft: Draft, accepted: list[Accepted]) -> bool:
        """Copies at every verifier that can be reached, one at least."""
        blobs = [*draft.blobs.values(), *(self.blobs[each.statement.update] for each in accepted), self.blobs[job.base]]
        holders = [self.world.parties[seat] for seat in job.verifiers if self.world.connected(self.account, seat)]
        for holder in holders:
            holder.keep(*blobs)
        return bool(holders)
