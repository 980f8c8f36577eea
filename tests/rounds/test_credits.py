from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core import merkle
from hansa.core.errors import ProtocolError
from hansa.core.types import Address, Wei
from hansa.rounds.credits import BPS, add, credit_leaf, credit_proof, credits_root, earned, round_price

NAMES = [Address("0x" + f"{number:040x}") for number in range(12)]
BOSS = NAMES[-1]


@given(st.integers(0, 10**30), st.integers(1, 64))
def test_round_prices_are_equal_but_for_the_last_and_sum_to_the_milestone(net: int, rounds: int) -> None:
    prices = [round_price(net, rounds, index) for index in range(rounds)]
    assert sum(prices) == net and len(set(prices[:-1])) <= 1 and prices[-1] >= prices[0] >= 0


@given(st.integers(0, 10**30), st.integers(1, 11), st.integers(0, 3000), st.integers(0, 3000))
def test_shares_and_the_verifiers_pot_sum_to_the_price(price: int, trainers: int, coordinator: int, verifier: int) -> None:
    shares = earned(price, BOSS, NAMES[:trainers], coordinator, verifier)
    assert sum(shares.values()) == price - price * verifier // BPS
    assert len({shares[each] for each in NAMES[:trainers]}) == 1
    # Only dust goes to the coordinator beside its share: less than a unit for each trainer, and what flooring its share left.
    assert 0 <= shares[BOSS] - price * coordinator // BPS < trainers


def test_dust_goes_to_the_coordinator() -> None:
    assert earned(1_000, BOSS, NAMES[:3], 500, 1_000) == {NAMES[0]: 283, NAMES[1]: 283, NAMES[2]: 283, BOSS: 51}


@pytest.mark.parametrize("trainers", [[], [NAMES[0], NAMES[0]]])
def test_a_round_pays_each_trainer_once_and_somebody(trainers: list[Address]) -> None:
    with pytest.raises(ProtocolError, match="once, and at least one"):
        earned(100, BOSS, trainers, 0, 0)


@given(st.permutations(NAMES[:5]))
def test_cumulative_credits_do_not_depend_on_the_order(order: list[Address]) -> None:
    table: dict[Address, Wei] = {}
    for place, name in enumerate(order):
        table = add(table, {name: Wei(NAMES.index(name) + 1), order[place - 1]: Wei(0)})
    assert list(table) == NAMES[:5] and [*table.values()] == [1, 2, 3, 4, 5]
    assert credits_root(7, table) == credits_root(7, dict(reversed(table.items())))


def test_a_proof_leads_to_the_root_and_no_other_amount_account_or_job_does() -> None:
    table = {name: Wei(10 + number) for number, name in enumerate(NAMES[:5])}
    root = credits_root(7, table)
    for name, amount in table.items():
        proof = credit_proof(7, table, name)
        assert merkle.verify(proof, root, credit_leaf(7, name, amount))
        for job, account, cumulative in ((8, name, amount), (7, BOSS, amount), (7, name, amount + 1)):
            assert not merkle.verify(proof, root, credit_leaf(job, account, cumulative))


def test_who_earned_nothing_has_no_proof() -> None:
    with pytest.raises(ProtocolError, match="not a leaf"):
        credit_proof(7, {NAMES[0]: Wei(5)}, BOSS)
