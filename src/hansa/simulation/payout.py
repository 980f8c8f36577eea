"""What a settled or finished job still owes: claims of trainers and coordinators, fees of verifiers, acceptance of its models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hansa.core import merkle
from hansa.core.errors import ProtocolError
from hansa.core.types import Address, Digest
from hansa.rounds import events as facts
from hansa.rounds.credits import BPS, credit_leaf, round_price
from hansa.simulation.referee import Referee
from hansa.simulation.seal import evaluation_seal, shard_leaf


class Payout:
    """The part of `RoundLedger` and `Acceptance` that goes on after a job has closed; refuses with ProtocolError as they revert."""

    def __init__(self, referee: Referee) -> None:
        self._referee = referee
        self.paid: Counter[str] = Counter()
        self._fees_paid: set[tuple[int, str]] = set()
        self._shards: dict[int, bytes] = {}

    def claim(self, account: str, cumulative: int, proof: Sequence[bytes]) -> None:
        """Pay a trainer or coordinator up to its cumulative credit under the last settled root."""
        referee = self._referee
        amount = cumulative - self.paid[account]
        if amount <= 0:
            raise ProtocolError(f"{account} has claimed all of this")
        root = referee.last(referee.settled - 1).anchor.credits if referee.settled else bytes(32)
        if not merkle.verify(proof, Digest(root), credit_leaf(referee.job, Address(account), cumulative)):
            raise ProtocolError("the proof does not lead to the settled root")
        referee.purse.pay(account, amount)
        self.paid[account] = cumulative

    def claim_fee(self, account: str, milestone: int) -> None:
        """Pay a seated verifier for the rounds of a settled milestone whose finalising call named it."""
        referee = self._referee
        if account not in referee.cohort.seats or milestone >= referee.settled:
            raise ProtocolError(f"{account} has no seat, or milestone {milestone} is not settled")
        seat = referee.cohort.seats.index(account)
        amount = sum(self._fee(milestone, index, seat) for index in range(referee.span))
        if (milestone, account) in self._fees_paid or not amount:
            raise ProtocolError(f"milestone {milestone} owes {account} nothing")
        self._fees_paid.add((milestone, account))
        referee.purse.pay(account, amount)

    def _fee(self, milestone: int, index: int, seat: int) -> int:
        """A seat's equal part of what one round sets aside for its paid verifiers; what rounding leaves goes to the lowest of them."""
        referee = self._referee
        seats = referee.standing[milestone * referee.span + index + 1].seats
        price = round_price(referee.nets[milestone], referee.span, index)
        each, rest = divmod(price * referee.terms.verifier_bps // BPS, seats.bit_count())
        if not seats >> seat & 1:
            return 0
        return each + (rest if seats & ((1 << seat) - 1) == 0 else 0)

    def open_shard(self, account: str, milestone: int, digest: bytes, salt: bytes, proof: Sequence[bytes]) -> None:
        """The client shows one shard of its acceptance data once the milestone cannot be undone any more (R11)."""
        referee = self._referee
        at = referee.tick()
        if account != referee.client or milestone in self._shards or at < referee.firm_at(milestone):
            raise ProtocolError("shards are opened by the client, once each, when the milestone is firm")
        if not merkle.verify(proof, Digest(referee.terms.acceptance), shard_leaf(account, milestone, digest, salt)):
            raise ProtocolError("the client did not commit to this shard")
        self._shards[milestone] = digest
        referee.log.append(facts.ShardOpened(job=referee.job, at=at, milestone=milestone, digest=digest))

    def accept(self, account: str, milestone: int, metric: int, seals: Sequence[tuple[int, bytes]]) -> None:
        """`seals`: (seat, signature) of seats that measured the milestone's model on its shard and found that it passes."""
        referee = self._referee
        at = referee.tick()
        if milestone not in self._shards:
            raise ProtocolError("the shard is not open")
        model = referee.last(milestone).anchor.model
        for seat, signature in seals:
            if signature != evaluation_seal(referee.cohort.seats[seat], milestone, model, self._shards[milestone], metric):
                raise ProtocolError(f"seat {seat} did not sign this evaluation")
        seats = {seat for seat, _ in seals}
        if len(seats) != len(seals) or len(seats) * 3 < referee.terms.verifiers * 2:
            raise ProtocolError("two thirds of the seats have to sign, each once")
        referee.log.append(facts.ModelAccepted(job=referee.job, at=at, milestone=milestone, model=model, metric=metric, baseline=0))
