"""What a job's end owes an account, as the calls that collect it."""

from __future__ import annotations

from collections.abc import Mapping

from hansa.chain.deployment import Contracts
from hansa.core.ports import Call
from hansa.core.types import Address, Wei
from hansa.rounds.credits import credit_proof
from hansa.rounds.job import JobState


def claim_calls(contracts: Contracts, job: JobState, account: Address, credits: Mapping[Address, Wei]) -> list[tuple[str, Call]]:
    """Named calls: one claim of everything the credit table gives the account, one fee per milestone in which its seat was paid.

    `credits` is the table of the last settled milestone; names tell the calls of one duty apart.
    """
    calls = []
    if credits.get(account, 0):
        cumulative = credits[account]
        calls.append(("credit", contracts.rounds.claim(job.id, account, cumulative, tuple(credit_proof(job.id, credits, account)))))
    if account in job.verifiers:
        seat = 1 << job.verifiers.index(account)
        for milestone in job.settled:
            first = milestone * job.rounds_per_milestone
            if any(final.seats & seat for final in job.final[first : first + job.rounds_per_milestone]):
                calls.append((f"fee/{milestone}", contracts.rounds.claim_fee(job.id, milestone, account)))
    return calls
