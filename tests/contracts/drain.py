"""The end of every history: nothing and nobody may be stuck."""

from __future__ import annotations

from tests.contracts.evm import DAY
from tests.contracts.model_jobs import CLOSED
from tests.contracts.model_money import LEDGER
from tests.contracts.town import ROLE_OF, Town
from tests.contracts.world import THAW_DELAY


def drain(t: Town) -> None:
    """Only calls that anyone may make, and everyone's own withdrawal: nothing may stay behind, whatever happened before."""
    for _ in range(12):
        live = [job for job in t.ledger.jobs.values() if job.phase != CLOSED]
        if not live:
            break
        for job in live:
            for act in ("start", "cancel", "expire", "close"):
                t.simple(act, job.id)
            t.judge("lapse", job.id)
            t.judge("voidRound", job.id)
            t.settle(job.id, job.settled)
        t.world.wait(DAY)
    assert all(job.phase == CLOSED for job in t.ledger.jobs.values()), "a job is stuck"
    last = max((kernel.expiry for kernel in t.market.jobs.values()), default=t.now)
    t.world.go_to(max(last, t.now))
    for number in t.market.jobs:
        t.both(lambda n=number: t.market.claim_refund(n, t.now), lambda n=number: t.world.market.claimRefund(n))
        t.both(lambda n=number: t.market.finalize(n, t.now), lambda n=number: t.world.market.finalize(n))
    for job in t.ledger.jobs.values():
        for name in job.members:
            t.release(job.id, name)
            t.claim(job.id, name)
            for milestone in range(job.settled):
                t.claim_fee(job.id, milestone, name)
    assert all(t.vault.locked(name) == 0 for name in ROLE_OF), "stake is stuck"
    t.world.wait(THAW_DELAY)
    for name in ROLE_OF:
        t.both(lambda n=name: t.vault.withdraw(n, t.now), lambda n=name: t.world.vault.withdraw(**t.who(n)))
        free = t.vault.free(name)
        t.both(lambda n=name, x=free: t.vault.thaw(n, x, t.now), lambda n=name, x=free: t.world.vault.thaw(x, **t.who(n)))
    t.world.wait(THAW_DELAY)
    for name in ROLE_OF:
        t.both(lambda n=name: t.vault.withdraw(n, t.now), lambda n=name: t.world.vault.withdraw(**t.who(n)))
    for name in t.account:
        for purse in ("vault", "market", "ledger"):
            t.collect(purse, name)
    assert t.books.held == {"vault": 0, "market": 0, LEDGER: 0}, "money is stuck"
