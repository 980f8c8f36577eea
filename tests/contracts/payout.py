"""The money rule of the specification, computed beside the contracts: who earns what from finalised rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.contracts import merkle


@dataclass(frozen=True)
class Earned:
    """One final round as money sees it: accounts are addresses."""

    coordinator: str
    trainers: tuple[str, ...]
    seats: tuple[str, ...]


def prices(net: int, span: int) -> list[int]:
    return [net // span] * (span - 1) + [net - (span - 1) * (net // span)]


def split(price: int, coordinator_bps: int, verifier_bps: int, earned: Earned) -> tuple[dict[str, int], dict[str, int]]:
    """Credits of coordinator and trainers, and fees of verifiers; together exactly the price."""
    each = price * verifier_bps // 10_000 // len(earned.seats)
    fees = dict.fromkeys(earned.seats, each)
    pool = price - each * len(earned.seats)
    share = price * coordinator_bps // 10_000
    per_trainer = (pool - share) // len(earned.trainers)
    credits = dict.fromkeys(earned.trainers, per_trainer)
    credits[earned.coordinator] = credits.get(earned.coordinator, 0) + pool - per_trainer * len(earned.trainers)
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


def of_rounds(net: int, span: int, bps: tuple[int, int], rounds: Sequence[Earned]) -> tuple[dict[str, int], list[dict[str, int]]]:
    """Cumulative credits after all rounds, and fees per milestone; every milestone has the same net payout."""
    totals: dict[str, int] = {}
    fees: list[dict[str, int]] = [{} for _ in range((len(rounds) + span - 1) // span)]
    for i, earned in enumerate(rounds):
        credits, round_fees = split(prices(net, span)[i % span], *bps, earned)
        totals, fees[i // span] = add(totals, credits), add(fees[i // span], round_fees)
    return totals, fees
