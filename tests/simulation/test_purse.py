from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import ProtocolError
from hansa.simulation.purse import TREASURY, Purse, net_of

amounts = st.integers(0, 10_000)


def purse() -> Purse:
    made = Purse({"a": 10_000, "b": 10_000})
    made.stake("a", 1_000)
    return made


def test_a_slash_goes_to_victim_finder_and_fire() -> None:
    made = purse()
    made.lock("a", 1_000)
    assert made.slash("a", 505, "b", "f") == 505
    assert (made.credit["b"], made.credit["f"], made.burned) == (202, 101, 202) and made.locks["a"] == 495
    assert made.slash("a", 9_999, "b", "") == 495 and made.credit["f"] == 101 and made.staked["a"] == 0 and made.conserved()
    assert made.slash("a", 1, "b", "f") == 0


def test_stake_is_locked_once_and_released() -> None:
    made = purse()
    made.lock("a", 700)
    with pytest.raises(ProtocolError, match="300 of free stake and needs 301"):
        made.lock("a", 301)
    with pytest.raises(ProtocolError, match="0 of free stake"):
        made.lock("b", 1)
    assert made.release("a") == 700 and made.release("a") == 0 and made.conserved()


def test_a_budget_becomes_payout_and_fee_or_goes_back() -> None:
    made = purse()
    made.fund("b", 0, 1_001)
    made.fund("b", 1, 500)
    assert made.complete(0) == net_of(1_001) == 971 and (made.burned, made.credit[TREASURY]) == (15, 15)
    made.refund(1, "b")
    assert made.credit["b"] == 500 and not made.escrow and made.conserved()
    with pytest.raises(KeyError):
        made.complete(0)


def test_nothing_is_paid_beyond_what_was_accrued() -> None:
    made = purse()
    made.fund("b", 0, 1_000)
    made.complete(0)
    made.pay("a", 970)
    with pytest.raises(ProtocolError, match="exceed the 970"):
        made.pay("a", 1)
    assert made.conserved()


def test_a_bond_comes_back_or_is_halved() -> None:
    made = purse()
    made.bond("a", 101)
    made.take_bond("a", "b")
    assert made.credit["b"] == 50 and made.burned == 51
    made.bond("a", 100)
    made.return_bond("a")
    assert made.collect("a") == 100 and made.collect("a") == 0 and made.conserved()


def test_who_has_not_the_money_pays_nothing() -> None:
    made = purse()
    with pytest.raises(ProtocolError, match="holds 9000 and has to pay 9001"):
        made.stake("a", 9_001)
    assert made.wallets["a"] == 9_000 and made.conserved()


@given(amounts, amounts, amounts, st.sampled_from(["", "f"]))
def test_no_order_of_slashes_makes_or_loses_a_unit(lock: int, first: int, second: int, finder: str) -> None:
    made = Purse({"a": 10_000})
    made.stake("a", 10_000)
    made.lock("a", lock)
    taken = made.slash("a", first, "v", finder) + made.slash("a", second, "v", finder)
    assert taken == min(lock, first + second) and made.conserved()


@pytest.mark.parametrize("pot", ["wallets", "staked", "credit", "bonds"])
def test_money_out_of_nowhere_is_noticed(pot: str) -> None:
    made = purse()
    getattr(made, pot)["a"] = getattr(made, pot).get("a", 0) + 1
    assert not made.conserved()
