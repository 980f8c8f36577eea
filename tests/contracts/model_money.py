"""The conservation model, first half: wallets, the three purses, stake and kernel jobs, in plain integers.

Every method checks all its guards before it changes anything, and raises Refused exactly where the contracts must revert.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

VAULT, MARKET, LEDGER = "vault", "market", "ledger"
FEE_BPS = 300
MAX_THAWS = 8
OPEN, FUNDED, SUBMITTED, COMPLETED, REJECTED, EXPIRED = range(6)


class Refused(Exception):
    """The specification does not allow this call now."""


def need(condition: object, why: str = "") -> None:
    if not condition:
        raise Refused(why)


class Books:
    """Who has what: B0 says that wallets, purses and what was burnt always add up to the start."""

    def __init__(self, wallets: dict[str, int]) -> None:
        self.wallet = defaultdict(int, wallets)
        self.start = sum(wallets.values())
        self.held = dict.fromkeys((VAULT, MARKET, LEDGER), 0)
        self.credit: dict[str, dict[str, int]] = {purse: defaultdict(int) for purse in self.held}
        self.burned = 0

    def pull(self, purse: str, who: str, amount: int) -> None:
        need(self.wallet[who] >= amount, "balance")
        self.wallet[who] -= amount
        self.held[purse] += amount

    def pay(self, purse: str, who: str, amount: int) -> None:
        self.held[purse] -= amount
        self.wallet[who] += amount

    def burn(self, purse: str, amount: int) -> None:
        self.held[purse] -= amount
        self.burned += amount

    def collect(self, purse: str, who: str) -> None:
        need(self.credit[purse][who], "credit")
        self.pay(purse, who, self.credit[purse].pop(who))

    def total(self) -> int:
        return sum(self.wallet.values()) + sum(self.held.values()) + self.burned


@dataclass
class Lock:
    account: str
    amount: int
    until: int


class Vault:
    def __init__(self, books: Books, thaw_delay: int) -> None:
        self.books, self.thaw_delay = books, thaw_delay
        self.staked: dict[str, int] = defaultdict(int)
        self.thaws: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.locks: dict[tuple[int, str], Lock] = {}
        self.consent: dict[str, bool] = defaultdict(bool)

    def locked(self, who: str) -> int:
        return sum(lock.amount for lock in self.locks.values() if lock.account == who)

    def thawing(self, who: str) -> int:
        return sum(amount for amount, _ in self.thaws[who])

    def free(self, who: str) -> int:
        return self.staked[who] - self.locked(who) - self.thawing(who)

    def stake(self, who: str, amount: int) -> None:
        need(amount, "zero")
        self.books.pull(VAULT, who, amount)
        self.staked[who] += amount

    def thaw(self, who: str, amount: int, now: int) -> None:
        need(0 < amount <= self.free(who), "free")
        need(len(self.thaws[who]) < MAX_THAWS, "requests")
        self.thaws[who].append((amount, now + self.thaw_delay))

    def withdraw(self, who: str, now: int) -> None:
        done = [amount for amount, due in self.thaws[who] if due <= now]
        need(done, "matured")
        self.thaws[who] = self.thaws[who][len(done) :]
        self.staked[who] -= sum(done)
        self.books.credit[VAULT][who] += sum(done)

    def check_lock(self, who: str, amount: int) -> None:
        need(self.consent[who], "consent")
        need(amount <= self.free(who), "free")

    def lock(self, job: int, who: str, amount: int, until: int) -> None:
        self.locks[job, who] = Lock(who, amount, until)

    def release(self, job: int, who: str) -> None:
        self.locks.pop((job, who), None)

    def release_expired(self, job: int, who: str, now: int) -> None:
        lock = self.locks.get((job, who))
        need(lock is None or now >= lock.until, "running")
        self.release(job, who)

    def slash(self, job: int, who: str, amount: int, victim: str, finder: str | None) -> None:
        lock = self.locks.get((job, who))
        taken = min(amount, lock.amount) if lock else 0
        if lock is None or taken == 0:
            return
        lock.amount -= taken
        self.staked[who] -= taken
        to_victim = taken * 4_000 // 10_000
        to_finder = taken * 2_000 // 10_000 if finder else 0
        self.books.credit[VAULT][victim] += to_victim
        if finder:
            self.books.credit[VAULT][finder] += to_finder
        self.books.burn(VAULT, taken - to_victim - to_finder)

    def left(self, job: int, who: str) -> int:
        lock = self.locks.get((job, who))
        return lock.amount if lock else 0


@dataclass
class Kernel:
    client: str
    provider: str
    evaluator: str
    expiry: int
    budget: int = 0
    status: int = OPEN


def net_of(budget: int) -> int:
    return budget - budget * FEE_BPS // 10_000


@dataclass
class Market:
    books: Books
    jobs: dict[int, Kernel] = field(default_factory=dict)

    def job(self, job: int) -> Kernel:
        need(job in self.jobs, "unknown")
        return self.jobs[job]

    def create(self, client: str, provider: str, evaluator: str, expiry: int, now: int) -> int:
        need(expiry > now, "expiry")
        self.jobs[len(self.jobs) + 1] = Kernel(client, provider, evaluator, expiry)
        return len(self.jobs)

    def create_funded(self, client: str, provider: str, evaluator: str, expiry: int, budgets: list[int], now: int) -> None:
        need(expiry > now and all(budgets), "terms")
        need(self.books.wallet[client] >= sum(budgets), "balance")
        for budget in budgets:
            job = self.jobs[self.create(client, provider, evaluator, expiry, now)]
            self.books.pull(MARKET, client, budget)
            job.budget, job.status = budget, FUNDED

    def set_budget(self, job: int, who: str, budget: int) -> None:
        kernel = self.job(job)
        need(kernel.status == OPEN and who in (kernel.client, kernel.provider), "who")
        kernel.budget = budget

    def fund(self, job: int, who: str, expected: int, now: int) -> None:
        kernel = self.job(job)
        need(kernel.status == OPEN and who == kernel.client, "who")
        need(kernel.budget == expected and expected > 0 and now < kernel.expiry, "terms")
        self.books.pull(MARKET, who, expected)
        kernel.status = FUNDED

    def submit(self, job: int, who: str, now: int) -> None:
        kernel = self.job(job)
        need(kernel.status == FUNDED and who == kernel.provider and now < kernel.expiry, "submit")
        kernel.status = SUBMITTED

    def complete(self, job: int, who: str) -> None:
        kernel = self.job(job)
        need(kernel.status == SUBMITTED and who == kernel.evaluator, "complete")
        self._pay(kernel)

    def finalize(self, job: int, now: int) -> None:
        kernel = self.job(job)
        need(kernel.status == SUBMITTED and now >= kernel.expiry, "finalize")
        self._pay(kernel)

    def reject(self, job: int, who: str) -> None:
        kernel = self.job(job)
        need(kernel.status <= SUBMITTED, "over")
        need(who == (kernel.client if kernel.status == OPEN else kernel.evaluator), "who")
        self._refund(kernel, REJECTED)

    def claim_refund(self, job: int, now: int) -> None:
        kernel = self.job(job)
        need(kernel.status == FUNDED and now >= kernel.expiry, "refund")
        self._refund(kernel, EXPIRED)

    def _refund(self, kernel: Kernel, status: int) -> None:
        if kernel.status != OPEN:
            self.books.credit[MARKET][kernel.client] += kernel.budget
        kernel.status = status

    def _pay(self, kernel: Kernel) -> None:
        fee = kernel.budget - net_of(kernel.budget)
        self.books.credit[MARKET][kernel.provider] += kernel.budget - fee
        self.books.credit[MARKET]["treasury"] += fee - fee // 2
        self.books.burn(MARKET, fee // 2)
        kernel.status = COMPLETED
