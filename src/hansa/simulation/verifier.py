"""The honest verifier of a simulated world: fetches, recomputes, signs, tells everybody, challenges."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from hansa.core.encoding import sha256
from hansa.core.errors import ProtocolError
from hansa.core.types import Role, Verdict
from hansa.rounds import duties
from hansa.rounds.anchor import Anchor
from hansa.rounds.duties import Ballot, Duty
from hansa.rounds.job import JobState, Phase
from hansa.rounds.manifest import Accepted
from hansa.rounds.verifier import VerifierFacts, verifier_duties
from hansa.simulation.miniature import judge
from hansa.simulation.party import Party
from hansa.simulation.seal import ballot, evaluation_seal, update_seal, verdict_seal

Boxes = dict[tuple[int, int], dict[int, Ballot]]


class Verifier(Party):
    role = Role.VERIFIER

    def forget(self) -> None:
        self.boxes: Boxes = {}
        self.verdicts: dict[tuple[int, int], Ballot] = {}
        self.published: set[tuple[int, int]] = set()
        self.left: dict[tuple[int, bytes], dict[str, Accepted]] = {}
        self.measured: dict[int, dict[int, tuple[int, bytes]]] = {}
        self._acknowledged: dict[tuple[int, int], set[str]] = {}

    def remember(self, kind: str, *values: Any) -> None:
        match kind:
            case "verdict":
                self.verdicts[values[0]] = values[1]
            case "ballot":
                self.boxes.setdefault(values[0], {}).setdefault(values[1].seat, values[1])
            case "published":
                self.published.add(values[0])
            case "lodged":
                said = values[0].statement
                self.left.setdefault((said.round, said.base), {})[said.trainer] = values[0]
            case "measured":
                milestone, seat, metric, seal = values
                self.measured.setdefault(milestone, {})[seat] = (metric, seal)
            case _:
                super().remember(kind, *values)

    def value(self) -> tuple[bytes, bytes]:
        """This party's (value, salt) for the draw of seats; in life from the operating system, here from its name."""
        return sha256(b"value" + self.account.encode()), sha256(b"salt" + self.account.encode())

    def lodge(self, accepted: Accepted, blob: bytes) -> None:
        job, said = self.view, accepted.statement
        open_now = job.phase is Phase.OPEN and (said.round, said.base) == (job.round, job.base)
        # Left later, it could not have reached the coordinator: nobody may be judged by it.
        in_time = self.world.referee.clock.time() < job.register_until()
        if open_now and in_time and said.trainer in job.trainers and accepted.signature == update_seal(said):
            self.keep(blob)
            self.note("lodged", accepted)

    def lodged(self, job: JobState) -> Mapping[str, Accepted]:
        return self.left.get((job.round, job.base), {})

    def hear(self, anchor: Anchor, ballot: Ballot) -> bool:
        return hear(self, self.boxes, anchor, ballot)

    def due(self, job: JobState, now: float) -> list[Duty]:
        mine = frozenset(milestone for milestone, seats in self.measured.items() if self._seat(job) in seats)
        signed = {milestone: len(seats) for milestone, seats in self.measured.items()}
        own = VerifierFacts(self.verdicts, frozenset(self.published), self.boxes, mine, signed, frozenset(self.claimed))
        return verifier_duties(job, self.account, own, now)

    def look(self) -> None:
        super().look()
        if self.measured and len(self.view.accepted) < len(self.view.shards):
            self._tell_measurements(self.view)

    def perform(self, job: JobState, duty: Duty) -> None:
        referee, me = self.world.referee, self.account
        match duty:
            case duties.Reveal():
                self.transact(duty, lambda: referee.reveal(me, *self.value()))
            case duties.Check():
                self.world.later(self.thinking, self, lambda: self._check(job, duty))
            case duties.Publish(round=round, attempt=attempt):
                self._publish(job, (round, attempt))
                self.ended(duty)
            case duties.Challenge(anchor=anchor):
                self.transact(duty, lambda: referee.challenge(me, anchor))
            case duties.Evaluate(milestone=milestone, model=model, shard=shard):
                self._measure(job, milestone, model, shard)
                self.ended(duty)
            case duties.Accept(milestone=milestone):
                self._accept(duty, milestone)
            case duties.Claim():
                self._claim_fees(job)
                self.note("claimed", duty.milestone)
                self.ended(duty)
            case _:
                super().perform(job, duty)

    def judge(self, job: JobState) -> Verdict | None:
        """The verdict on the current anchor, None while it cannot be checked."""
        return judge(job, self.fetch, self.lodged(job))

    def _check(self, job: JobState, duty: Duty) -> None:
        verdict = self.judge(job)
        self.ended(duty)
        if verdict is not None and job.anchor is not None and (job.round, job.attempt) not in self.verdicts:
            mine = ballot(self.account, self._seat(job), job.anchor, verdict.judgement, verdict.digest)
            self.note("verdict", (job.round, job.attempt), mine)
            self.note("ballot", (job.round, job.attempt), mine)

    def vote_for(self, peer: str, at: tuple[int, int]) -> Ballot:
        """The verdict as this peer gets to see it."""
        return self.verdicts[at]

    def _publish(self, job: JobState, at: tuple[int, int]) -> None:
        anchor, acknowledged = job.anchor, self._acknowledged.setdefault(at, set())
        peers = {*job.coordinators, *job.verifiers} - {self.account}

        def acknowledge(peer: str) -> None:
            acknowledged.add(peer)
            if acknowledged >= peers and at not in self.published:
                self.note("published", at)

        for peer in sorted(peers - acknowledged):
            self.world.send(self, peer, self._ballot_message(anchor, self.vote_for(peer, at), acknowledge))

    def _ballot_message(self, anchor: Anchor | None, vote: Ballot, acknowledge: Any) -> Any:
        def arrive(party: Party) -> None:
            if anchor is not None and party.hear(anchor, vote):
                self.world.send(party, self.account, lambda _: acknowledge(party.account))

        return arrive

    def _seat(self, job: JobState) -> int:
        return job.verifiers.index(self.account) if self.account in job.verifiers else -1

    def _measure(self, job: JobState, milestone: int, model: bytes, shard: bytes) -> None:
        if (blob := self.fetch(model)) is not None:
            metric = sum(blob)
            self.note("measured", milestone, self._seat(job), metric, evaluation_seal(self.account, milestone, model, shard, metric))

    def _tell_measurements(self, job: JobState) -> None:
        seat = self._seat(job)
        for milestone, seats in self.measured.items():
            if seat in seats:
                for peer in job.verifiers:
                    self.world.send(self, peer, partial(_measure_message, milestone, seat, *seats[seat]))

    def hear_measure(self, milestone: int, seat: int, metric: int, seal: bytes) -> None:
        if seat not in self.measured.get(milestone, {}):
            self.note("measured", milestone, seat, metric, seal)

    def _accept(self, duty: Duty, milestone: int) -> None:
        own = self.measured[milestone][self._seat(self.view)][0]
        seals = [(seat, seal) for seat, (metric, seal) in sorted(self.measured[milestone].items()) if metric == own]
        self.transact(duty, lambda: self.world.payout.accept(self.account, milestone, own, seals))

    def _claim_fees(self, job: JobState) -> None:
        for milestone in job.settled:
            try:
                self.world.payout.claim_fee(self.account, milestone)
            except ProtocolError as error:
                # Nothing owed for a milestone whose finalising calls did not name this seat.
                self.world.refused.append((self.account, f"fee {milestone}", str(error)))


def _measure_message(milestone: int, seat: int, metric: int, seal: bytes, party: Party) -> None:
    party.hear_measure(milestone, seat, metric, seal)


def hear(party: Party, boxes: Boxes, anchor: Anchor, vote: Ballot) -> bool:
    """Journal a verdict on an anchor that the party knows, once per seat; false when the anchor is not known yet or the seal is wrong."""
    job = party.view
    known = anchor == job.anchor or any(final.anchor == anchor for final in job.final)
    if not known or vote.signature != verdict_seal(job.verifiers[vote.seat], anchor, vote.judgement, vote.digest):
        return False
    at = (anchor.round, anchor.attempt)
    if vote.seat not in boxes.get(at, {}):
        party.note("ballot", at, vote)
    return True
