"""The referee in memory answers as the contracts do: the same calls, the same refusals, the same state, stake and credit after each."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from hansa.core.clock import ManualClock
from hansa.core.errors import ProtocolError
from hansa.core.types import Judgement, Role
from hansa.rounds.anchor import Anchor
from hansa.rounds.events import Terms
from hansa.rounds.job import Phase
from hansa.simulation.cohort import commitment
from hansa.simulation.payout import Payout
from hansa.simulation.purse import Purse
from hansa.simulation.referee import Referee
from hansa.simulation.seal import ballot
from tests.contracts.abi import Revert
from tests.contracts.evm import Revm
from tests.contracts.world import DAY, MAX_GAP, UNIT, Account, Job, World
from tests.contracts.world import Anchor as ContractAnchor
from tests.contracts.world import Terms as ContractTerms

STAKE = 1_000 * UNIT
HOUR = 3_600
RIGHT = b"r" * 32


@pytest.fixture(scope="module")
def deployed() -> World:
    return World(Revm())


@pytest.fixture
def world(deployed: World) -> Iterator[World]:
    mark = deployed.evm.snapshot()
    yield deployed
    deployed.evm.revert(mark)


class Both:
    """One job on the chain and in memory; `call` makes the same call in both and compares everything afterwards."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random = world, random.Random(seed)
        soon = world.time() + 14 * DAY
        self.job = Job(world, ContractTerms(rounds=4, milestones=2, quorum=2, deadline=soon, maxTrainers=5), coordinators=3)
        self.trainers = [*self.job.trainers, *(world.join(f"late{number}") for number in range(4))]
        people = [*self.trainers, *self.job.coordinators, *self.job.candidates]
        self.stranger = world.join("stranger", 0)
        world.fund(self.stranger, 100 * UNIT)
        rich = {name(each): 10 * STAKE for each in people}
        self.purse = Purse({**rich, name(self.job.client): 100 * self.job.budget, name(self.stranger): 100 * UNIT})
        self.clock = ManualClock(world.evm.now)
        self.referee = Referee(self.clock, self.purse, self.job.id, MAX_GAP)
        self.payout = Payout(self.referee)
        self.referee.open(name(self.job.client), Terms(*self.job.terms.row()), [self.job.budget] * 2)
        self.job.running()
        for account in self.trainers[4:]:
            self.purse.stake(name(account), STAKE)
        for role, each in [
            (Role.TRAINER, self.job.trainers),
            (Role.COORDINATOR, self.job.coordinators),
            (Role.VERIFIER, self.job.candidates),
        ]:
            for account in each:
                self.purse.stake(name(account), STAKE)
                secret = commitment(self.job.id, name(account), *self.job.secret(account)) if role is Role.VERIFIER else b""
                self.referee.enrol(name(account), role, secret)
        self.referee.start(name(self.job.client))
        self.anchors: list[ContractAnchor] = []
        self.refusals = 0
        self.compare("start")

    def call(self, what: str, on_chain: Callable[[], object], in_memory: Callable[[], object]) -> bool:
        refused = []
        for place, one in (("the contract", on_chain), ("the referee", in_memory)):
            try:
                one()
            except (Revert, ProtocolError) as error:
                refused.append(f"{place}: {error}")
        assert len(refused) != 1, f"{what} was refused only by {refused}"
        self.refusals += bool(refused)
        self.compare(what)
        return not refused

    def compare(self, what: str) -> None:
        state, referee, job = self.job.state, self.referee, self.job
        phases = {
            Phase.OPEN: (2, 0),
            Phase.ANCHORED: (2, 1),
            Phase.CHALLENGED: (2, 2),
            Phase.DONE: (2, 0),
            Phase.CLOSED: (3, state.roundPhase),
        }
        assert referee.phase is not None and (state.phase, state.roundPhase) == phases[referee.phase], what
        assert (state.round, state.settled) == (referee.round, referee.settled), what
        if referee.phase not in (Phase.DONE, Phase.CLOSED):
            assert state.attempt == referee.attempt, what
            assert int(state.coordinator, 16) == int(referee.coordinator or "0", 16), what
        assert (state.accrued, state.claimed) == (self.purse.accrued - self.fees_settled(), self.claims), what
        if referee.phase is not Phase.CLOSED:
            seen = [name(each) for each in self.trainers if self.world.cohort.takesPart(job.id, each.address)]
            assert sorted(seen) == sorted(referee.cohort.taking_part()) and state.trainers == len(seen), what
            assert self.world.cohort.attendance(job.id)[0] == len(referee.cohort.seated()), what
        for account in (*self.trainers, *job.coordinators, *job.candidates):
            assert self.world.vault.staked(account.address) == self.purse.staked[name(account)], f"{what}: stake of {account}"
            assert self.world.vault.locked(account.address) == self.purse.locks.get(name(account), 0), f"{what}: lock of {account}"
        for account in (*job.coordinators, *job.candidates, job.client, self.stranger):
            credit = sum(purse.credit(account.address) for purse in self.world.purses)
            assert credit == self.purse.credit[name(account)], f"{what}: credit of {account}"
        assert self.purse.conserved(), what

    claims = 0
    regrouped = 0

    def fees_settled(self) -> int:
        """What settled milestones set aside for verifiers, which the contract keeps apart from what roots may claim."""
        rounds = self.job.terms.rounds // self.job.terms.milestones
        net = self.referee.nets[0]
        prices = [net // rounds] * (rounds - 1) + [net - net // rounds * (rounds - 1)]
        return self.referee.settled * sum(price * self.job.terms.verifierBps // 10_000 for price in prices)

    # ---- the calls

    def step(self) -> None:
        """Mostly any call at all, sometimes one that may bring the job further."""
        moves = [self.wait, self.anchor, self.finalise, self.by_time, self.lapse, self.challenge, self.condemn, self.void, self.takeover]
        moves += [self.register, self.settle, self.fee, self.expire, self.close, self.release, self.contradict]
        moves += [self.come, self.leave, self.leave, self.regroup]
        further: dict[Phase | None, list[Callable[[], None]]] = {
            Phase.OPEN: [self.anchor, self.settle, *([self.come, self.regroup] if self.deserted() else [])],
            Phase.ANCHORED: [self.finalise, self.wait, self.by_time],
            Phase.CHALLENGED: [self.finalise, self.wait, self.void],
            Phase.DONE: [self.wait, self.settle, self.close],
            Phase.CLOSED: [self.release, self.fee],
        }
        self.random.choice(further[self.referee.phase] if self.random.random() < 0.5 else moves)()

    def wait(self) -> None:
        seconds = self.random.choice([HOUR, 6 * HOUR, DAY // 2, DAY // 2, DAY])
        self.world.evm.pass_time(seconds)
        self.clock.advance(seconds)
        self.world.clock.tick()
        self.referee.tick()

    def anchor(self) -> None:
        changes = self.random.choice([{}, {}, {}, {"accepted": 1}, {"accepted": 3}, {"accepted": 5}, {"attempt": 9}, {"base": RIGHT}])
        draft = self.job.draft(**changes)
        who = self.account_of(self.referee.coordinator) if self.random.random() < 0.9 else self.anybody()
        assert ours(draft).digest() == draft.digest
        if self.call(
            "anchor", lambda: self.world.ledger.anchor(draft, sender=who.address), lambda: self.referee.anchor(name(who), ours(draft))
        ):
            self.anchors.append(draft)

    def finalise(self, *, by_time: bool = False) -> None:
        if not self.anchors:
            return
        anchor = self.some_anchor()
        seats = sorted(self.random.sample(range(3), self.random.choice([1, 2, 2, 3])))
        kinds = [self.random.choice([Judgement.VALID, Judgement.VALID, Judgement.VALID, Judgement.FETCHED]) for _ in seats]
        theirs = [self.job.sign(seat, anchor, int(kind)) for seat, kind in zip(seats, kinds, strict=True)]
        box = [
            ballot(name(self.job.verifiers[seat]), seat, ours(anchor), kind, anchor.digest if kind is Judgement.VALID else bytes(32))
            for seat, kind in zip(seats, kinds, strict=True)
        ]
        chain = self.world.ledger.finaliseByTime if by_time else self.world.ledger.finalise
        memory = self.referee.finalise_by_time if by_time else self.referee.finalise
        numbers = [int(kind) for kind in kinds]
        self.call("finalise", lambda: chain(anchor, seats, numbers, theirs), lambda: memory("anyone", ours(anchor), box))

    def by_time(self) -> None:
        self.finalise(by_time=True)

    def lapse(self) -> None:
        self.about("lapse", self.world.ledger.lapse, self.referee.lapse)

    def void(self) -> None:
        self.about("void", self.world.ledger.voidRound, self.referee.void_round)

    def about(self, what: str, chain: Callable[..., object], memory: Callable[[str, Anchor], object]) -> None:
        if self.anchors:
            anchor = self.some_anchor()
            self.call(what, lambda: chain(anchor), lambda: memory("anyone", ours(anchor)))

    def challenge(self) -> None:
        if self.anchors:
            anchor, who = self.some_anchor(), self.stranger
            chain = self.world.ledger.challenge
            self.call("challenge", lambda: chain(anchor, sender=who.address), lambda: self.referee.challenge(name(who), ours(anchor)))

    def condemn(self) -> None:
        if not self.anchors or self.random.random() < 0.8:
            return
        anchor = self.some_anchor()
        seats = sorted(self.random.sample(range(3), self.random.choice([1, 2, 3])))
        signatures = [self.job.sign(seat, anchor, 3, RIGHT) for seat in seats]
        box = [ballot(name(self.job.verifiers[seat]), seat, ours(anchor), Judgement.WRONG, RIGHT) for seat in seats]
        who = self.stranger
        self.call(
            "condemn",
            lambda: self.world.ledger.condemn(anchor, RIGHT, seats, signatures, sender=who.address),
            lambda: self.referee.condemn(name(who), ours(anchor), RIGHT, box),
        )

    def contradict(self) -> None:
        if not self.anchors or self.random.random() < 0.9:
            return
        anchor, seat, finder = self.some_anchor(), self.random.randrange(3), self.stranger
        mine = name(self.job.verifiers[seat])
        valid = ballot(mine, seat, ours(anchor), Judgement.VALID, anchor.digest)
        wrong = ballot(mine, seat, ours(anchor), Judgement.WRONG, RIGHT)
        subject = (anchor.job, anchor.round, anchor.attempt, anchor.digest)
        sworn = [(1, anchor.digest, self.job.sign(seat, anchor, 1)), (3, RIGHT, self.job.sign(seat, anchor, 3, RIGHT))]
        self.call(
            "equivocation",
            lambda: self.world.cohort.equivocation(subject, seat, *sworn, sender=finder.address),
            lambda: self.referee.equivocation(name(finder), ours(anchor), valid, wrong),
        )

    def takeover(self) -> None:
        who = self.random.choice([*self.job.coordinators, *self.job.coordinators, self.stranger])
        self.call("takeover", lambda: self.world.ledger.takeover(self.job.id, sender=who.address), lambda: self.referee.takeover(name(who)))

    def register(self) -> None:
        who, number = self.random.choice([*self.trainers, self.stranger]), self.referee.round + self.random.choice([0, 0, 1])
        chain = self.world.ledger.registerUpdate
        memory = self.referee.register_update
        self.call("register", lambda: chain(self.job.id, number, RIGHT, sender=who.address), lambda: memory(name(who), number, RIGHT))

    def deserted(self) -> bool:
        return self.referee.phase is Phase.OPEN and self.referee.cohort.deserted()

    def come(self) -> None:
        who, role = self.random.choice(self.trainers), self.random.choice([Role.TRAINER, Role.TRAINER, Role.TRAINER, Role.COORDINATOR])
        chain = self.world.cohort.enrol
        self.call(
            "come",
            lambda: chain(self.job.id, int(role), bytes(32), sender=who.address),
            lambda: self.referee.enrol(name(who), role),
        )

    def leave(self) -> None:
        who = self.random.choice(self.trainers) if self.random.random() < 0.9 else self.anybody()
        chain = self.world.cohort.leaveJob
        self.call("leave", lambda: chain(self.job.id, sender=who.address), lambda: self.referee.leave(name(who)))

    def regroup(self) -> None:
        self.regrouped += self.call("regroup", lambda: self.world.ledger.regroup(self.job.id), lambda: self.referee.regroup("anyone"))

    def settle(self) -> None:
        milestone = self.random.randrange(3)
        settle = self.world.ledger.settle
        self.call("settle", lambda: settle(self.job.id, milestone), lambda: self.referee.settle("anyone", milestone))

    def fee(self) -> None:
        who, milestone = self.random.choice(self.job.verifiers), self.random.randrange(2)
        before = self.purse.wallets[name(who)], self.world.token.balanceOf(who.address)
        chain = self.world.ledger.claimFee
        self.call("fee", lambda: chain(self.job.id, milestone, who.address), lambda: self.payout.claim_fee(name(who), milestone))
        assert self.purse.wallets[name(who)] - before[0] == self.world.token.balanceOf(who.address) - before[1]

    def expire(self) -> None:
        self.call("expire", lambda: self.world.ledger.expire(self.job.id), lambda: self.referee.expire("anyone"))

    def close(self) -> None:
        self.call("close", lambda: self.world.ledger.close(self.job.id), lambda: self.referee.close("anyone"))

    def release(self) -> None:
        who = self.anybody()
        chain = self.world.cohort.release
        self.call("release", lambda: chain(self.job.id, [who.address]), lambda: self.referee.release("anyone", name(who)))

    def some_anchor(self) -> ContractAnchor:
        return self.anchors[-1] if self.random.random() < 0.8 else self.random.choice(self.anchors)

    def anybody(self) -> Account:
        return self.random.choice([*self.trainers, *self.job.coordinators, *self.job.candidates, self.stranger])

    def account_of(self, address: str) -> Account:
        return next((each for each in self.job.coordinators if name(each) == address), self.stranger)


def name(account: Account) -> str:
    return account.address.lower()


def ours(anchor: ContractAnchor) -> Anchor:
    return Anchor(*anchor.row())


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_calls_has_the_same_answers(world: World, seed: int) -> None:
    both = Both(world, seed)
    for _ in range(120):
        both.step()
    assert both.refusals > 20 and both.anchors


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_many_sequences_of_calls_have_the_same_answers(world: World, seed: int) -> None:
    both = Both(world, seed)
    for _ in range(200):
        both.step()


def test_deserted_rounds_are_among_them(world: World) -> None:
    both = Both(world, 8)
    for _ in range(400):
        both.step()
        if both.regrouped:
            return
    raise AssertionError("no sequence of calls met a round that was regrouped")


def test_a_difference_is_noticed(world: World) -> None:
    both = Both(world, 4)
    both.referee.terms = replace(both.referee.terms, window=both.referee.terms.window * 2)
    with pytest.raises(AssertionError, match="refused only by"):
        for _ in range(400):
            both.step()
