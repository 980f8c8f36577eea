"""A deployed network with a fixed set of people, driven twice: once as the model, once as the contracts; both must agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from eth_utils import keccak

from tests.contracts import model_jobs, payout
from tests.contracts.abi import Contract, Receipt, Revert
from tests.contracts.evm import DAY, Revm
from tests.contracts.model_jobs import Ledger, Record, Refused
from tests.contracts.model_money import LEDGER, MARKET, VAULT, Books, Market, Vault
from tests.contracts.world import (
    ALL_ROLES,
    COORDINATOR,
    FETCHED,
    MAX_GAP,
    THAW_DELAY,
    TRAINER,
    VALID,
    VERIFIER,
    WRONG,
    Account,
    Anchor,
    Terms,
    World,
    digest,
)

CLIENTS = ("client0", "client1")
TRAINERS = ("trainer0", "trainer1", "trainer2", "trainer3")
COORDINATORS = ("coordinator0", "coordinator1", "coordinator2")
VERIFIERS = ("verifier0", "verifier1", "verifier2", "verifier3")
OTHERS = ("provider", "evaluator", "hunter")
PEOPLE = (*CLIENTS, *TRAINERS, *COORDINATORS, *VERIFIERS, *OTHERS)
ROLE_OF = {**dict.fromkeys(TRAINERS, TRAINER), **dict.fromkeys(COORDINATORS, COORDINATOR), **dict.fromkeys(VERIFIERS, VERIFIER)}
# Enough for two jobs at a time and no more, so that stake is scarce and every guard of it is met.
STAKES = {TRAINER: 25, COORDINATOR: 210, VERIFIER: 110}
WALLET = 100_000
TERMS = Terms(
    rounds=2, milestones=2, quorum=2, verifiers=3, coordinatorBps=777, verifierBps=1_333, patience=DAY // 2, window=DAY // 4,
    trainerStake=11, coordinatorStake=100, verifierStake=50, challengeBond=33, maxTrainers=3,
)  # fmt: skip


class Town:
    """The model and the contracts side by side."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.account = {name: Account(name) for name in PEOPLE}
        self.name = {account.address: name for name, account in self.account.items()}
        self.account["treasury"] = world.treasury
        for name, account in self.account.items():
            if name != "treasury":
                world.fund(account, WALLET)
            if name in ROLE_OF:
                who = {"sender": account.address}
                world.registry.register(name, name, digest(name), digest(name), ALL_ROLES, b"", **who)
        self.purses: dict[str, Contract] = {VAULT: world.vault, MARKET: world.market, LEDGER: world.ledger}
        # The reads of every comparison, encoded once: there are a hundred of them after every call.
        self.reads: list[tuple[tuple[str, str], str, bytes]] = []
        for name, account in self.account.items():
            word = bytes(12) + bytes.fromhex(account.address[2:])
            whats = [("balanceOf", world.token), *((purse, contract) for purse, contract in self.purses.items())]
            whats += [(what, world.vault) for what in ("staked", "locked", "thawing")] if name in ROLE_OF else []
            for what, contract in whats:
                function = "credit" if what in self.purses else what
                self.reads.append(((what, name), contract.address, keccak(text=f"{function}(address)")[:4] + word))
        self.initial = world.token.balanceOf(world.deployer.address)

    def begin(self) -> None:
        """Both sides at the same start: nobody has staked yet."""
        self.books = Books(dict.fromkeys(PEOPLE, WALLET))
        self.vault = Vault(self.books, THAW_DELAY)
        self.market = Market(self.books)
        self.ledger = Ledger(
            self.books, self.vault, self.market, lambda name: self.account[name].address, lambda name: digest("value", name)
        )
        self.ledger.registered = set(ROLE_OF)
        self.records: dict[int, list[Record]] = {}
        self.calls = 0

    @property
    def now(self) -> int:
        return self.world.time()

    def who(self, name: str) -> dict[str, str]:
        return {"sender": self.account[name].address}

    def both(self, model: Callable[[], object], real: Callable[[], Receipt]) -> bool:
        """Performs an action on both sides; answers whether it happened. They must agree, and on all consequences."""
        self.world.clock.tick()
        refusal: Exception | None = None
        try:
            model()
        except Refused as reason:
            refusal = reason
        try:
            real()
        except Revert as reason:
            assert refusal is not None, f"the contracts refuse with {reason} what the specification allows"
        else:
            assert refusal is None, f"the contracts allow what the specification refuses: {refusal}"
        self.compare()
        self.calls += refusal is None
        return refusal is None

    # -- what people do -------------------------------------------------------------------------------------------------

    def post(self, client: str, terms: Terms, budgets: list[int], slack: int = 0) -> bool:
        until = terms.deadline + 4 * terms.window + slack
        names = [f"m{i}" for i in range(len(budgets))]
        ledger = self.world.ledger
        first = len(self.market.jobs) + 1
        done = self.both(
            lambda: self.market.create_funded(client, LEDGER, LEDGER, until, budgets, self.now),
            lambda: self.world.market.createFunded(ledger, ledger, until, names, budgets, **self.who(client)),
        )
        return done and self.open(client, first, terms)

    def open(self, client: str, first: int, terms: Terms) -> bool:
        self.records.setdefault(first, [])
        return self.both(
            lambda: self.ledger.open(client, first, terms),
            lambda: self.world.ledger.open(first, terms, **self.who(client)),
        )

    def enrol(self, job: int, name: str, role: int) -> bool:
        secret = (digest("value", name), digest("salt", name))
        commitment = self.world.commitment(job, self.account[name], *secret) if role == VERIFIER else bytes(32)
        return self.both(
            lambda: self.ledger.enrol(job, name, role, self.now),
            lambda: self.world.cohort.enrol(job, role, commitment, **self.who(name)),
        )

    def leave(self, job: int, name: str) -> bool:
        return self.both(lambda: self.ledger.leave(job, name), lambda: self.world.cohort.leaveJob(job, **self.who(name)))

    def reveal(self, job: int, name: str) -> bool:
        secret = (digest("value", name), digest("salt", name))
        return self.both(
            lambda: self.ledger.reveal(job, name, self.now),
            lambda: self.world.cohort.reveal(job, *secret, **self.who(name)),
        )

    def anchor(self, job: int, name: str, accepted: int) -> bool:
        """An honest anchor by `name`, whoever should coordinate, with so many trainers accepted."""
        j = self.ledger.jobs.get(job)
        if j is None or j.phase != model_jobs.RUNNING or j.round > j.terms.rounds or j.coordinator is None:
            return False
        trainers = j.part[:accepted]
        totals = self.ledger.totals(j, trainers) if trainers and j.round_phase == model_jobs.ROUND_OPEN else {}
        root = payout.Credits(job, totals).root if totals else digest("root")
        at = (job, j.round, j.attempt)
        label = (*at, self.calls)
        digests = {name: digest(name, label) for name in ("updates", "manifest", "aggregate", "model")}
        anchor = Anchor(*at, base=j.model, manifestSize=1, modelSize=1, credits=root, accepted=accepted, **digests)
        record = Record(anchor, j.coordinator, self.now, trainers, totals)
        done = self.both(
            lambda: self.ledger.anchor(job, name, record, self.now),
            lambda: self.world.ledger.anchor(anchor, **self.who(name)),
        )
        if done:
            self.records[job].append(record)
        return done

    def sign(self, record: Record, seat: int, verdict: int) -> bytes:
        j = self.ledger.jobs[record.anchor.job]
        value = {VALID: record.anchor.digest, FETCHED: bytes(32)}.get(verdict, digest("right"))
        return self.account[j.seats[seat]].sign(self.world.attestation(record.anchor, verdict, value))

    def finalise(self, job: int, ballot: dict[int, int], by_time: bool = False) -> bool:
        if not self.records.get(job):
            return False
        record, seats = self.records[job][-1], sorted(ballot)
        verdicts = [ballot[seat] for seat in seats]
        signatures = [self.sign(record, seat, ballot[seat]) for seat in seats]
        call = self.world.ledger.finaliseByTime if by_time else self.world.ledger.finalise
        return self.both(
            lambda: self.ledger.finalise(job, ballot, by_time, self.now),
            lambda: call(record.anchor, seats, verdicts, signatures),
        )

    def condemn(self, job: int, record: Record, seats: list[int], by: str) -> bool:
        signatures = [self.sign(record, seat, WRONG) for seat in seats]
        return self.both(
            lambda: self.ledger.condemn(job, record, seats, self.now),
            lambda: self.world.ledger.condemn(record.anchor, digest("right"), seats, signatures, **self.who(by)),
        )

    def equivocate(self, job: int, record: Record, seat: int, by: str) -> bool:
        anchor = record.anchor
        subject = [anchor.job, anchor.round, anchor.attempt, anchor.digest]
        valid = [VALID, anchor.digest, self.sign(record, seat, VALID)]
        wrong = [WRONG, digest("right"), self.sign(record, seat, WRONG)]
        return self.both(
            lambda: self.ledger.equivocation(job, seat, by),
            lambda: self.world.cohort.equivocation(subject, seat, valid, wrong, **self.who(by)),
        )

    def judge(self, name: str, job: int, by: str = "hunter") -> bool:
        """challenge, lapse or void of the newest anchor."""
        if not self.records.get(job):
            return False
        anchor = self.records[job][-1].anchor
        models = {
            "challenge": lambda: self.ledger.challenge(job, by, self.now),
            "lapse": lambda: self.ledger.lapse(job, self.now),
            "voidRound": lambda: self.ledger.void(job, self.now),
        }
        return self.both(models[name], lambda: getattr(self.world.ledger, name)(anchor, **self.who(by)))

    def simple(self, name: str, job: int, by: str = "hunter") -> bool:
        """start, cancel, takeover, regroup, expire, close: calls that carry the job only."""
        models = {
            "start": lambda: self.ledger.start(job, by, self.now),
            "cancel": lambda: self.ledger.cancel(job, self.now),
            "takeover": lambda: self.ledger.takeover(job, by, self.now),
            "regroup": lambda: self.ledger.regroup(job, self.now),
            "expire": lambda: self.ledger.expire(job, self.now),
            "close": lambda: self.ledger.close(job),
        }
        return self.both(models[name], lambda: getattr(self.world.ledger, name)(job, **self.who(by)))

    def settle(self, job: int, milestone: int) -> bool:
        return self.both(
            lambda: self.ledger.settle(job, milestone, self.now),
            lambda: self.world.ledger.settle(job, milestone),
        )

    def claim(self, job: int, name: str) -> bool:
        j, address = self.ledger.jobs[job], self.account[name].address
        total, proof = payout.Credits(job, j.payable).proof(address) if address in j.payable else (1, [])
        return self.both(lambda: self.ledger.claim(job, name), lambda: self.world.ledger.claim(job, address, total, proof))

    def claim_fee(self, job: int, milestone: int, name: str) -> bool:
        return self.both(
            lambda: self.ledger.claim_fee(job, milestone, name),
            lambda: self.world.ledger.claimFee(job, milestone, self.account[name].address),
        )

    def release(self, job: int, name: str) -> bool:
        return self.both(
            lambda: self.ledger.release(job, name),
            lambda: self.world.cohort.release(job, [self.account[name].address]),
        )

    def release_expired(self, job: int, name: str) -> bool:
        claim = self.world.cohort.claimOf(job, self.account[name].address)
        return self.both(
            lambda: self.vault.release_expired(job, name, self.now),
            lambda: self.world.vault.releaseExpired(self.world.cohort, claim),
        )

    def collect(self, purse: str, name: str) -> bool:
        return self.both(lambda: self.books.collect(purse, name), lambda: self.purses[purse].collect(**self.who(name)))

    def outage(self) -> None:
        """The chain stands still for longer than counts: no deadline moves (R16)."""
        before = self.now
        self.world.evm.pass_time(3 * MAX_GAP)
        assert self.now == before
        self.world.clock.tick()
        assert self.now == before

    # -- whether they agree ---------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Every balance, every state; and B0."""
        books, w = self.books, self.world
        assert books.total() == books.start
        assert w.token.totalSupply() == self.initial + books.start - books.burned
        for purse, contract in self.purses.items():
            assert contract.owed() == books.held[purse] == w.token.balanceOf(contract.address), purse
        for (what, name), address, data in self.reads:
            seen = int.from_bytes(w.evm.call(address, data, "0x" + "11" * 20), "big")
            assert seen == self._expected(what, name), (what, name)
        for name in ROLE_OF:
            assert 0 <= self.vault.free(name), name
        owed = sum(sum(credit.values()) for credit in books.credit.values())
        escrow = sum(kernel.budget for kernel in self.market.jobs.values() if kernel.status in (1, 2))
        accrued = books.held[LEDGER] - sum(books.credit[LEDGER].values())
        assert sum(books.held.values()) == owed + escrow + accrued + sum(self.vault.staked.values())
        for number, kernel in self.market.jobs.items():
            assert w.market.summary(number)[5] == kernel.status, number
        for job in self.ledger.jobs.values():
            self._compare_job(job)

    def _expected(self, what: str, name: str) -> int:
        if what == "balanceOf":
            return self.books.wallet[name]
        if what in self.purses:
            return self.books.credit[what][name]
        return {"staked": self.vault.staked.__getitem__, "locked": self.vault.locked, "thawing": self.vault.thawing}[what](name)

    def _compare_job(self, job: model_jobs.Job) -> None:
        state = self.world.ledger.jobState(job.id)
        coordinator = job.who_coordinates() if job.lists[COORDINATOR] and job.round else None
        if job.phase == model_jobs.RUNNING:
            assert self.name.get(state.coordinator) == coordinator
        seen = (state.phase, state.round, state.settled, state.model, state.accrued, state.claimed)
        assert seen == (job.phase, job.round, job.settled, job.model, job.accrued, job.claimed), job.id
        if job.phase == model_jobs.RUNNING and job.round <= job.terms.rounds:
            assert (state.roundPhase, state.attempt, state.openedAt) == (job.round_phase, job.attempt, job.opened_at), job.id
            assert state.trainers == len(job.part), job.id
            seen = {name for name in TRAINERS if self.world.cohort.takesPart(job.id, self.account[name].address)}
            assert seen == set(job.part), job.id
            leavers = sum(name not in job.lists[TRAINER] for name in job.part)
            assert self.world.cohort.attendance(job.id) == (len(job.lists[TRAINER]), leavers), job.id
        for name in (*job.lists[COORDINATOR], *job.lists[VERIFIER]) if job.phase == model_jobs.RUNNING else ():
            assert self.world.cohort.memberOf(job.id, self.account[name].address).out == job.members[name].out, name


def build(artefact: Any = None) -> Town:
    world = World(Revm(), artefact) if artefact else World(Revm())
    return Town(world)


def terms_from(now: int, shape: Terms = TERMS) -> Terms:
    return replace(shape, enrolBy=now + DAY, deadline=now + 6 * DAY)
