"""The money rule of the specification, computed beside the contracts: who earns what from finalised rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.contracts import merkle


@dataclass(frozen=True)
class Earned:
    """One round as money sees it: addresses, seats ascending; while it is only anchored nobody knows the seats yet."""

    coordinator: str
    trainers: tuple[str, ...]
    seats: tuple[str, ...]


def prices(net: int, span: int) -> list[int]:
    return [net // span] * (span - 1) + [net - (span - 1) * (net // span)]


def split(price: int, coordinator_bps: int, verifier_bps: int, earned: Earned) -> tuple[dict[str, int], dict[str, int]]:
    """Credits of coordinator and trainers, and fees of verifiers; together exactly the price."""
    pot = price * verifier_bps // 10_000
    fees = dict.fromkeys(earned.seats, pot // len(earned.seats) if earned.seats else 0)
    if earned.seats:
        fees[earned.seats[0]] += pot % len(earned.seats)
    share = price * coordinator_bps // 10_000
    per_trainer = (price - pot - share) // len(earned.trainers)
    credits = dict.fromkeys(earned.trainers, per_trainer)
    credits[earned.coordinator] = credits.get(earned.coordinator, 0) + price - pot - per_trainer * len(earned.trainers)
    return credits, fees


class Credits:
    """Cumulative credits of a job and their Merkle tree."""

    def __init__(self, job: int, totals: dict[str, int]) -> None:
        self.job, self.totals = job, dict(sorted(totals.items()))
        self.leaves = [merkle.credit_leaf(job, account, total) for account, total in self.totals.items()]

    @property
    def root(self) -> bytes:
        return merkle.root(self.leaves)

    def proof(self, account: str) -> tuple[int, list[bytes]]:
        return self.totals[account], merkle.proof(self.leaves, list(self.totals).index(account))


def add(totals: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return {account: totals.get(account, 0) + more.get(account, 0) for account in {**totals, **more}}


def of_rounds(
    nets: Sequence[int], span: int, bps: tuple[int, int], rounds: Sequence[Earned]
) -> tuple[dict[str, int], list[dict[str, int]]]:
    """Cumulative credits after all rounds, and fees per milestone; `nets` are the milestones' net payouts."""
    totals: dict[str, int] = {}
    fees: list[dict[str, int]] = [{} for _ in nets]
    for i, earned in enumerate(rounds):
        credits, round_fees = split(prices(nets[i // span], span)[i % span], *bps, earned)
        totals, fees[i // span] = add(totals, credits), add(fees[i // span], round_fees)
    return totals, fees
