"""Every unit of money of one simulated network, by where it lies; the twin of StakeVault, JobMarket and the ledger's own purse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hansa.core.errors import ProtocolError

FEE_BPS = 300
VICTIM_BPS = 4_000
FINDER_BPS = 2_000
BPS = 10_000
TREASURY = "treasury"


class Purse:
    """Integers in the smallest unit. `conserved` is invariant B0; every method moves money and none makes or loses any."""

    def __init__(self, wallets: Mapping[str, int]) -> None:
        self.wallets = Counter(wallets)
        self.staked: Counter[str] = Counter()
        self.locks: dict[str, int] = {}
        self.escrow: dict[int, int] = {}
        self.bonds: dict[str, int] = {}
        self.credit: Counter[str] = Counter()
        self.accrued = 0
        self.claimed = 0
        self.burned = 0
        self._deposits = sum(wallets.values())

    def conserved(self) -> bool:
        """deposits = wallets + escrow + bonds + staked + credits + owed claims + burned, and no pot is negative."""
        pots = [[*pot.values()] for pot in (self.wallets, self.staked, self.credit, self.bonds)] + [[*self.escrow.values()]]
        owed = self.accrued - self.claimed
        total = sum(sum(pot) for pot in pots) + owed + self.burned
        negative = owed < 0 or any(amount < 0 for pot in pots for amount in pot)
        covered = all(0 <= amount <= self.staked[account] for account, amount in self.locks.items())
        return covered and not negative and total == self._deposits

    def stake(self, account: str, amount: int) -> None:
        self._take(account, amount)
        self.staked[account] += amount

    def lock(self, account: str, amount: int) -> None:
        """ProtocolError when the free stake is less than `amount`."""
        free = self.staked[account] - self.locks.get(account, 0)
        if amount > free:
            raise ProtocolError(f"{account} has {free} of free stake and needs {amount}; stake more before taking the role")
        if amount:
            self.locks[account] = self.locks.get(account, 0) + amount

    def release(self, account: str) -> int:
        """The account's lock returns to its free stake; answers the amount."""
        return self.locks.pop(account, 0)

    def slash(self, account: str, amount: int, victim: str, finder: str) -> int:
        """At most the lock: 40 % to `victim`, 20 % to `finder`, the rest and an empty finder's share burnt; answers what was taken."""
        taken = min(amount, self.locks.get(account, 0))
        if taken:
            self.locks[account] -= taken
            self.staked[account] -= taken
            to_victim = taken * VICTIM_BPS // BPS
            to_finder = taken * FINDER_BPS // BPS if finder else 0
            self.credit[victim] += to_victim
            self.credit[finder] += to_finder
            self.burned += taken - to_victim - to_finder
        return taken

    def fund(self, client: str, milestone: int, amount: int) -> None:
        self._take(client, amount)
        self.escrow[milestone] = amount

    def complete(self, milestone: int) -> int:
        """The milestone's budget less the fee (half burnt, half to the treasury) may be claimed; answers that net amount."""
        budget = self.escrow.pop(milestone)
        net = net_of(budget)
        self.burned += (budget - net) // 2
        self.credit[TREASURY] += budget - net - (budget - net) // 2
        self.accrued += net
        return net

    def refund(self, milestone: int, client: str) -> None:
        self.credit[client] += self.escrow.pop(milestone)

    def bond(self, account: str, amount: int) -> None:
        self._take(account, amount)
        self.bonds[account] = self.bonds.get(account, 0) + amount

    def return_bond(self, account: str) -> None:
        self.credit[account] += self.bonds.pop(account)

    def take_bond(self, account: str, winner: str) -> None:
        """Half to `winner`, half burnt."""
        amount = self.bonds.pop(account)
        self.credit[winner] += amount // 2
        self.burned += amount - amount // 2

    def pay(self, account: str, amount: int) -> None:
        """Out of what the job accrued; ProtocolError when it accrued less."""
        if self.claimed + amount > self.accrued:
            raise ProtocolError(f"claims of {self.claimed + amount} exceed the {self.accrued} that the job accrued")
        self.claimed += amount
        self.wallets[account] += amount

    def collect(self, account: str) -> int:
        """The account's credit comes to its wallet; answers the amount."""
        amount = self.credit.pop(account, 0)
        self.wallets[account] += amount
        return amount

    def _take(self, account: str, amount: int) -> None:
        if amount > self.wallets[account]:
            raise ProtocolError(f"{account} holds {self.wallets[account]} and has to pay {amount}; give it more tokens")
        self.wallets[account] -= amount


def net_of(budget: int) -> int:
    """What a completed budget pays after the market's fee."""
    return budget - budget * FEE_BPS // BPS
