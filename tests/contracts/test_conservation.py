"""B0 as a differential test: random histories on the model and on the contracts, equal after every call, empty at the end."""

from __future__ import annotations

import os
from functools import cache

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.contracts.drain import drain
from tests.contracts.evm import DAY
from tests.contracts.model_jobs import ANCHORED, CHALLENGED, CLOSED, ENROLLING, ROUND_OPEN, RUNNING, Job
from tests.contracts.model_money import FUNDED, SUBMITTED
from tests.contracts.quarrels import QUARRELS, quarrel
from tests.contracts.town import CLIENTS, COORDINATORS, PEOPLE, ROLE_OF, STAKES, TERMS, TRAINERS, VERIFIERS, Town, build, terms_from
from tests.contracts.world import COORDINATOR, FETCHED, TRAINER, VALID, VERIFIER

town = cache(build)
anyone = st.sampled_from(PEOPLE)
member = st.sampled_from(sorted(ROLE_OF))
number = st.integers(0, 9)
ballots = st.dictionaries(st.integers(0, 2), st.sampled_from([VALID, VALID, FETCHED]), min_size=1)
budgets = st.lists(st.integers(1, 3_000), min_size=2, max_size=2)
MAX_JOBS = 3


class Conservation(RuleBasedStateMachine):
    """People who act at random, biased towards what a job needs next; anyone may do anything at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.town: Town = town()
        self.mark = self.town.world.evm.snapshot()
        self.town.begin()

    @initialize(budgets=budgets, verifiers=st.integers(3, 4), reveals=st.integers(3, 4))
    def settled_in(self, budgets: list[int], verifiers: int, reveals: int) -> None:
        """Everyone has staked and one job runs: most rules need one to do anything."""
        for name, role in ROLE_OF.items():
            self.stake(name, STAKES[role])
            self.consent(name, True)
        self.town.post("client0", terms_from(self.town.now), budgets)
        self.gather(0, verifiers, 3, reveals)

    def teardown(self) -> None:
        try:
            drain(self.town)
        finally:
            self.town.world.evm.revert(self.mark)

    def job(self, pick: int, *phases: int) -> Job | None:
        jobs = [job for job in self.town.ledger.jobs.values() if job.phase in phases] or list(self.town.ledger.jobs.values())
        return jobs[pick % len(jobs)] if jobs else None

    # -- stake ----------------------------------------------------------------------------------------------------------

    @rule(
        act=st.sampled_from(["stake", "thaw", "thaw", "withdraw", "consent", "collect"]),
        name=member,
        amount=st.integers(0, 60),
        odd=st.booleans(),
    )
    def household(self, act: str, name: str, amount: int, odd: bool) -> None:
        t = self.town
        if act == "stake":
            self.stake(name, amount)
        elif act == "thaw":
            # All that is free, or one more than that.
            asked = t.vault.free(name) + odd if amount > 20 else amount
            t.both(lambda: t.vault.thaw(name, asked, t.now), lambda: t.world.vault.thaw(asked, **t.who(name)))
        elif act == "withdraw":
            if odd and t.vault.free(name) > 0:  # what has only just been asked back must stay
                t.both(lambda: t.vault.thaw(name, 1, t.now), lambda: t.world.vault.thaw(1, **t.who(name)))
            t.both(lambda: t.vault.withdraw(name, t.now), lambda: t.world.vault.withdraw(**t.who(name)))
        elif act == "consent":
            self.consent(name, odd or amount > 20)
        else:
            t.collect(("vault", "market", "ledger")[amount % 3], (*PEOPLE, "treasury")[amount % (len(PEOPLE) + 1)])

    def stake(self, name: str, amount: int) -> None:
        t = self.town
        t.both(lambda: t.vault.stake(name, amount), lambda: t.world.vault.stake(amount, **t.who(name)))

    def consent(self, name: str, allowed: bool) -> None:
        t = self.town
        t.vault.consent[name] = allowed
        t.world.vault.setService(t.world.cohort, allowed, **t.who(name))

    @rule(pick=number, name=member)
    def release_expired(self, pick: int, name: str) -> None:
        if job := self.job(pick, CLOSED, RUNNING):
            self.town.release_expired(job.id, name)

    # -- plain kernel jobs ----------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.town.market.jobs) < 10)
    @rule(client=st.sampled_from(CLIENTS), budget=st.integers(0, 500), life=st.integers(0, 3))
    def create(self, client: str, budget: int, life: int) -> None:
        t, expiry = self.town, self.town.now + life * DAY
        parties = (t.account["provider"].address, t.account["evaluator"].address)
        t.both(
            lambda: t.market.create_funded(client, "provider", "evaluator", expiry, [budget], t.now),
            lambda: t.world.market.createFunded(*parties, expiry, ["x"], [budget], **t.who(client)),
        )

    @precondition(lambda self: len(self.town.market.jobs) < 10)
    @rule(client=st.sampled_from(CLIENTS), budget=st.integers(0, 500), expected=st.integers(0, 1))
    def create_and_fund(self, client: str, budget: int, expected: int) -> None:
        t, expiry = self.town, self.town.now + DAY
        parties = (t.account["provider"].address, t.account["evaluator"].address)
        number = len(t.market.jobs) + 1
        t.both(
            lambda: t.market.create(client, "provider", "evaluator", expiry, t.now),
            lambda: t.world.market.createJob(*parties, expiry, "x", "0x" + "00" * 20, **t.who(client)),
        )
        t.both(
            lambda: t.market.set_budget(number, "provider", budget),
            lambda: t.world.market.setBudget(number, budget, b"", **t.who("provider")),
        )
        t.both(
            lambda: t.market.fund(number, client, budget + expected, t.now),
            lambda: t.world.market.fund(number, budget + expected, b"", **t.who(client)),
        )

    @rule(
        pick=number,
        act=st.sampled_from(["submit", "submit", "complete", "reject", "claimRefund", "finalize"]),
        name=anyone,
        right=st.booleans(),
    )
    def kernel(self, pick: int, act: str, name: str, right: bool) -> None:
        t = self.town
        if not t.market.jobs:
            return
        plain = [number for number, kernel in t.market.jobs.items() if kernel.provider == "provider"]
        jobs = plain if right and plain else list(t.market.jobs)
        job = jobs[pick % len(jobs)]
        role = {"submit": "provider", "complete": "evaluator", "reject": "evaluator"}.get(act)
        who = role if role and right else name
        models = {
            "submit": lambda: t.market.submit(job, who, t.now),
            "complete": lambda: t.market.complete(job, who),
            "reject": lambda: t.market.reject(job, who),
            "claimRefund": lambda: t.market.claim_refund(job, t.now),
            "finalize": lambda: t.market.finalize(job, t.now),
        }
        args = (job, bytes(32), b"") if role else (job,)
        t.both(models[act], lambda: getattr(t.world.market, act)(*args, **t.who(who)))

    # -- federated jobs -------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.town.ledger.jobs) < MAX_JOBS)
    @rule(client=st.sampled_from(CLIENTS), budgets=budgets, slack=st.sampled_from([0, 0, 0, -1]))
    def post(self, client: str, budgets: list[int], slack: int) -> None:
        self.town.post(client, terms_from(self.town.now), budgets, slack)

    @rule(pick=number, first=st.integers(1, 12), client=st.sampled_from(CLIENTS))
    def open_again(self, pick: int, first: int, client: str) -> None:
        if first not in self.town.ledger.jobs:
            self.town.open(client, first, terms_from(self.town.now))

    @rule(pick=number, name=anyone, role=st.integers(1, 3), own=st.booleans())
    def enrol(self, pick: int, name: str, role: int, own: bool) -> None:
        if job := self.job(pick, ENROLLING, RUNNING):
            self.town.enrol(job.id, name, ROLE_OF.get(name, role) if own else role)

    @rule(pick=number, name=st.sampled_from((*TRAINERS, *TRAINERS, *PEOPLE)), come=st.booleans())
    def come_or_go(self, pick: int, name: str, come: bool) -> None:
        if job := self.job(pick, RUNNING):
            self.town.enrol(job.id, name, TRAINER) if come else self.town.leave(job.id, name)

    @rule(pick=number, verifiers=st.integers(2, 4), trainers=st.integers(1, 3), reveals=st.integers(2, 4), unwilling=anyone)
    def gather(self, pick: int, verifiers: int, trainers: int, reveals: int, unwilling: str = "") -> None:
        """A whole enrolment, up to the start if enough came; one person may have withdrawn its consent."""
        job = self.job(pick, ENROLLING)
        if job is None or job.phase != ENROLLING:
            return
        if unwilling in ROLE_OF:
            self.consent(unwilling, False)
        for names, role, n in ((TRAINERS, TRAINER, trainers), (COORDINATORS, COORDINATOR, 3), (VERIFIERS, VERIFIER, verifiers)):
            for name in names[:n]:
                self.town.enrol(job.id, name, role)
        if unwilling in ROLE_OF:
            self.consent(unwilling, True)
        if not self.town.simple("start", job.id, job.client):
            self.go_to(job.terms.enrolBy)
            for name in VERIFIERS[:reveals]:
                self.town.reveal(job.id, name)
            if not self.town.simple("start", job.id):
                self.go_to(job.reveal_by)
                self.town.simple("start", job.id)

    @rule(pick=number, name=anyone)
    def reveal(self, pick: int, name: str) -> None:
        if job := self.job(pick, ENROLLING):
            self.town.reveal(job.id, name)

    @rule(pick=number, act=st.sampled_from(["start", "cancel", "takeover", "takeover", "regroup", "expire", "close"]), name=anyone)
    def simple(self, pick: int, act: str, name: str) -> None:
        if job := self.job(pick, ENROLLING, RUNNING):
            self.town.simple(act, job.id, name)

    @rule(pick=number, name=st.sampled_from(COORDINATORS), accepted=st.integers(1, 4), right=st.booleans())
    def anchor(self, pick: int, name: str, accepted: int, right: bool) -> None:
        if job := self.job(pick, RUNNING):
            self.town.anchor(job.id, (right and job.who_coordinates()) or name, accepted)

    @rule(pick=number, ballot=ballots, by_time=st.booleans())
    def finalise(self, pick: int, ballot: dict[int, int], by_time: bool) -> None:
        if job := self.job(pick, RUNNING):
            self.town.finalise(job.id, ballot, by_time)

    @rule(pick=number, act=st.sampled_from(["challenge", "challenge", "lapse", "voidRound"]), name=anyone)
    def judge(self, pick: int, act: str, name: str) -> None:
        if job := self.job(pick, RUNNING):
            self.town.judge(act, job.id, name)

    @rule(pick=number, which=st.integers(0, 5), seats=st.sets(st.integers(0, 2), min_size=1), name=anyone)
    def condemn(self, pick: int, which: int, seats: set[int], name: str) -> None:
        job = self.job(pick, RUNNING)
        if job and self.town.records.get(job.id):
            records = self.town.records[job.id]
            self.town.condemn(job.id, records[-1 - which % len(records)], sorted(seats), name)

    @rule(pick=number, seat=st.integers(0, 2), name=anyone, often=st.integers(0, 2))
    def equivocate(self, pick: int, seat: int, name: str, often: int) -> None:
        job = self.job(pick, RUNNING)
        if job and often == 0 and self.town.records.get(job.id):
            self.town.equivocate(job.id, self.town.records[job.id][-1], seat, name)

    @rule(pick=number, milestone=st.integers(0, 2))
    def settle(self, pick: int, milestone: int) -> None:
        if job := self.job(pick, RUNNING):
            self.town.settle(job.id, milestone)

    @rule(pick=number, name=anyone, milestone=st.integers(0, 1))
    def claim(self, pick: int, name: str, milestone: int) -> None:
        if job := self.job(pick, RUNNING, CLOSED):
            self.town.claim(job.id, name)
            self.town.claim_fee(job.id, milestone, name)

    @rule(pick=number, name=anyone)
    def release(self, pick: int, name: str) -> None:
        if job := self.job(pick, CLOSED, RUNNING):
            self.town.release(job.id, name)

    @rule(pick=number, how=st.sampled_from(QUARRELS), offset=st.integers(-1, 1))
    def quarrel(self, pick: int, how: str, offset: int) -> None:
        if job := self.job(pick, RUNNING):
            quarrel(self.town, job, pick, how, offset, lambda steps: self.advance(pick, steps))

    @rule(pick=number, steps=st.integers(1, 3))
    def advance_further(self, pick: int, steps: int) -> None:
        self.advance(pick, steps)

    @rule(pick=number, steps=st.integers(1, 3))
    def advance(self, pick: int, steps: int) -> None:
        """What an honest network does next, so that histories reach the end of a job."""
        job = self.job(pick, RUNNING)
        for _ in range(steps if job else 0):
            if job is None or job.phase != RUNNING:
                return
            if job.round_phase != ROUND_OPEN:
                self.town.finalise(job.id, {seat: VALID for seat in range(3) if not job.members[job.seats[seat]].out} or {0: VALID})
            elif job.settled < job.terms.milestones and job.done(job.settled):
                milestone = job.settled
                for early in (1, 0):  # a moment too soon, and in time
                    self.go_to(job.firm_from(milestone) - early)
                    self.town.settle(job.id, milestone)
            elif job.settled == job.terms.milestones:
                self.town.simple("close", job.id)
            elif name := job.who_coordinates():
                self.town.anchor(job.id, name, len(job.part))

    # -- time -----------------------------------------------------------------------------------------------------------

    def go_to(self, time: int) -> None:
        self.town.world.go_to(time)

    @rule(pick=number, offset=st.sampled_from([-1, 0, 0, 1]), outage=st.sampled_from([False, False, True]))
    def pass_time(self, pick: int, offset: int, outage: bool) -> None:
        """To just before, at, or just after something can change; or an outage, which changes nothing."""
        if outage:
            self.outage_now(1)
            return
        edges = sorted(time for time in self.edges() if time > self.town.now)
        if edges:
            self.go_to(edges[min(pick, len(edges) - 1) // 3] + offset)

    def outage_now(self, happens: int) -> None:
        if happens:
            self.town.outage()

    def edges(self) -> list[int]:
        found = [kernel.expiry for kernel in self.town.market.jobs.values() if kernel.status in (FUNDED, SUBMITTED)]
        for job in self.town.ledger.jobs.values():
            terms = job.terms
            if job.phase == ENROLLING:
                found += [terms.enrolBy, job.reveal_by, terms.deadline]
            if job.phase == RUNNING:
                found += [terms.deadline, terms.deadline - terms.patience, job.opened_at + terms.patience]
                found += [job.rounds[n].at + terms.window for n in job.rounds]
            if job.round_phase == ANCHORED:
                found.append(job.rounds[job.round].at + 2 * terms.window)
            if job.round_phase == CHALLENGED:
                found.append(job.rounds[job.round].challenged_at + terms.window)
        return found


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Conservation,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=True,
            report_multiple_bugs=False,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),  # fmt: skip
    )


@pytest.mark.parametrize("how", QUARRELS)
def test_b0_every_quarrel_ends_the_same_on_both_sides(how: str) -> None:
    """The walk's disputes, one by one and at their edges: what must be noticed is not left to chance."""
    for pick, offset in enumerate((-1, 0, 1)):
        machine = Conservation()
        try:
            machine.settled_in([1_009, 2_003], 3 + pick % 2, 3)
            machine.outage_now(pick)
            machine.quarrel(pick, how, offset)
            machine.advance(0, 6)
        finally:
            machine.teardown()


def test_b0_money_is_conserved_in_random_histories() -> None:
    run(int(os.environ.get("HANSA_TEST_EXAMPLES", "10")), 40)


@pytest.mark.slow
def test_b0_money_is_conserved_in_many_random_histories() -> None:
    run(150, 60)


def test_the_model_alone_refuses_what_it_should() -> None:
    """A model that allowed everything would agree with contracts that allow everything."""
    t = town()
    mark = t.world.evm.snapshot()
    t.begin()
    assert not t.both(lambda: t.vault.thaw("trainer0", 1, t.now), lambda: t.world.vault.thaw(1, **t.who("trainer0")))
    assert not t.post("client0", terms_from(t.now, TERMS), [0, 1])
    t.world.evm.revert(mark)
