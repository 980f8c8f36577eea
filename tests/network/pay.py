"""What a job owes each account, computed from its final rounds by the words of contracts/SPEC.md and by nobody's code."""

from __future__ import annotations

from collections import Counter

from hansa.rounds.job import JobState

BPS = 10_000
FEE_BPS = 300


def owed(job: JobState) -> Counter[str]:
    """Pay by account for the settled milestones of a job whose every round summed every trainer."""
    pay: Counter[str] = Counter()
    span = job.terms.rounds // job.terms.milestones
    for milestone in job.settled:
        net = job.nets[milestone]
        for place, final in enumerate(job.final[milestone * span : (milestone + 1) * span]):
            price = net - net // span * (span - 1) if place == span - 1 else net // span
            fees = price * job.terms.verifier_bps // BPS
            seats = [account for seat, account in enumerate(job.verifiers) if final.seats >> seat & 1]
            for account in seats:
                pay[account] += fees // len(seats)
            pay[seats[0]] += fees % len(seats)
            part = (price - fees - price * job.terms.coordinator_bps // BPS) // len(job.trainers)
            for account in job.trainers:
                pay[account] += part
            pay[final.coordinator] += price - fees - part * len(job.trainers)
    return pay


def fees(job: JobState, budget: int) -> tuple[int, int]:
    """(to the treasury, burnt) of a job whose every milestone was settled, out of one budget split evenly."""
    each = budget // job.terms.milestones * FEE_BPS // BPS
    return (each - each // 2) * job.terms.milestones, each // 2 * job.terms.milestones
