"""Claims: what is owed, proven, and nothing that is not."""

from __future__ import annotations

import asyncio

import pytest
from eth_abi.abi import decode as abi_decode

from hansa.chain.deployment import Contracts
from hansa.core import merkle
from hansa.core.ports import Call
from hansa.core.types import Address, Wei
from hansa.market.claims import claim_calls
from hansa.rounds.anchor import Anchor
from hansa.rounds.credits import credit_leaf, credits_root
from hansa.rounds.events import Terms
from hansa.rounds.job import FinalRound, JobState, Phase
from tests.market.world import world

A, B, V, W = (Address("0x" + f"{number:02x}" * 20) for number in range(1, 5))
CREDITS = {A: Wei(700), B: Wei(300)}
TERMS = Terms(*(bytes(32),) * 3, 4, 2, 1, 2, 0, 0, 0, 40, 16, 9_000, 1, 1, 1, 1, 4)
ANCHOR = Anchor(9, 1, 0, *(bytes(32),) * 3, 5, *(bytes(32),) * 2, 6, bytes(32), 3)


def job(*seats: int, settled: int = 2) -> JobState:
    """A closed job of four rounds in two milestones; `seats` are the bitmaps of who was paid in each round."""
    final = tuple(FinalRound(ANCHOR, B, 1, 2, each, False) for each in seats)
    return JobState(
        9, "0xclient", TERMS, (1, 1), Phase.CLOSED, bytes(32), (A,), (B,), (V, W), verifiers=(V, W), final=final,
        settled=tuple(range(settled)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def contracts() -> Contracts:
    return asyncio.run(world()).contracts


def labels(calls: list[tuple[str, Call]]) -> list[str]:
    return [label for label, _ in calls]


def test_a_claim_carries_a_proof_against_the_credit_root(contracts: Contracts) -> None:
    ((label, call),) = claim_calls(contracts, job(3, 3, 3, 3), A, CREDITS)
    number, account, amount, proof = abi_decode(("uint256", "address", "uint256", "bytes32[]"), call.data[4:])
    assert (label, call.to, number, account, amount) == ("credit", contracts.rounds.address, 9, A, 700)
    assert merkle.verify(proof, credits_root(9, CREDITS), credit_leaf(9, A, 700))
    assert not merkle.verify(proof, credits_root(9, CREDITS), credit_leaf(9, A, 701))


def test_who_earned_nothing_sends_nothing(contracts: Contracts) -> None:
    assert claim_calls(contracts, job(0, 0, 0, 0), W, CREDITS) == []
    assert claim_calls(contracts, job(3, 3, 3, 3), Address("0x" + "77" * 20), CREDITS) == []
    assert claim_calls(contracts, job(3, 3, 3, 3), A, {A: Wei(0)}) == []


def test_a_seat_collects_one_fee_for_each_settled_milestone_in_which_it_was_paid(contracts: Contracts) -> None:
    assert labels(claim_calls(contracts, job(1, 0, 3, 2), V, CREDITS)) == ["fee/0", "fee/1"]
    assert labels(claim_calls(contracts, job(1, 0, 3, 2), W, CREDITS)) == ["fee/1"]
    assert labels(claim_calls(contracts, job(1, 1, 2, 2), V, CREDITS)) == ["fee/0"]
    assert labels(claim_calls(contracts, job(1, 3, 3, 2, settled=1), V, CREDITS)) == ["fee/0"], "an unsettled milestone owes nothing yet"


def test_calls_of_one_claim_are_told_apart(contracts: Contracts) -> None:
    both = claim_calls(contracts, job(3, 3, 3, 3), V, {V: Wei(5)})
    assert labels(both) == ["credit", "fee/0", "fee/1"] and len({call.data for _, call in both}) == 3
