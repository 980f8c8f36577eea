"""When a standing order posts, and that it never spends more than its budget in any period."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hansa.core.config import dump, parse
from hansa.core.errors import ConfigError
from hansa.market.order import amount
from hansa.market.standing import Post, Seen, Spent, StandingOrder, Tended, Wait, accepted, decide, posting, rejected
from tests.market.test_order import order

ORDER = order(milestones=1, budget="100")
STANDING = StandingOrder(ORDER, budget="250", period=1_000, rows=50, drift=0.05)
STANDS = Tended(model=1, version="ab" * 32, size=9, accuracy=0.9, rows=200)


def reason(tended: Tended, seen: Seen, standing: StandingOrder = STANDING) -> str:
    decision = decide(standing, tended, seen)
    return decision.reason if isinstance(decision, Post) else ""


def test_the_first_version_is_wanted_at_once() -> None:
    assert reason(Tended(), Seen(0, 10)) == "there is no accepted version yet"


def test_new_rows_are_a_reason() -> None:
    assert reason(STANDS, Seen(0, 249, 0.9)) == "" and reason(STANDS, Seen(0, 250, 0.9)) == "50 new rows"
    assert reason(STANDS, Seen(0, 250, 0.9), replace(STANDING, rows=0)) == "", "not for who asked for drift alone"


def test_drift_is_a_reason_when_there_is_something_new_to_learn_from() -> None:
    assert "5.1% less" in reason(STANDS, Seen(0, 201, 0.849)) and reason(STANDS, Seen(0, 201, 0.86)) == ""
    assert reason(STANDS, Seen(0, 200, 0.5)) == "", "the same rows again teach nothing"
    assert reason(STANDS, Seen(0, 201, 0.5), replace(STANDING, drift=0.0)) == ""


def test_one_job_at_a_time() -> None:
    going = posting(STANDING, STANDS, Seen(5, 260, 0.9), "word")
    assert isinstance(decide(STANDING, going, Seen(5, 999, 0.1)), Wait)
    assert (going.rows, going.spent) == (260, (Spent(5, str(amount("100"))),))
    done = accepted(replace(going, job=4), 1, "cd" * 32, 10, 0.95)
    assert (done.version, done.accuracy, done.word, done.job, done.rows) == ("cd" * 32, 0.95, "", 0, 260)
    assert rejected(replace(going, job=4)) == replace(going, word="")


def test_a_spent_budget_waits_for_the_period_to_end() -> None:
    poor = replace(STANDS, spent=(Spent(100, str(amount("100"))), Spent(200, str(amount("100")))))
    found = decide(STANDING, poor, Seen(300, 300, 0.9))
    assert isinstance(found, Wait) and found.until == 1_100 and "spent" in found.reason
    assert isinstance(decide(STANDING, poor, Seen(1_100, 300, 0.9)), Post)


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 120), st.booleans()), max_size=40))
def test_no_period_ever_costs_more_than_its_budget(steps: list[tuple[int, int, bool]]) -> None:
    tended, now, rows, paid = Tended(), 0, 0, list[tuple[int, int]]()
    for seconds, more, good in steps:
        now, rows = now + seconds, rows + more
        seen = Seen(now, rows, 0.5)
        if isinstance(decide(STANDING, tended, seen), Post):
            tended = posting(STANDING, tended, seen, f"{now}")
            paid.append((now, amount(ORDER.budget)))
            tended = accepted(tended, 1, "ab" * 32, 9, 0.9) if good else rejected(tended)
    for at, _ in paid:
        assert sum(cost for then, cost in paid if at - STANDING.period < then <= at) <= amount(STANDING.budget)


def test_it_is_written_and_read_as_toml() -> None:
    assert parse(dump(STANDING), StandingOrder, "order") == STANDING


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rows": 0, "drift": 0.0}, "names what it waits for"),
        ({"rows": -1}, "names what it waits for"),
        ({"drift": 1.0}, "names what it waits for"),
        ({"recent": 0}, "at least one row"),
        ({"period": 0}, "at least a second"),
        ({"budget": "99"}, "above the 99 tokens"),
        ({"order": order(milestones=2)}, "one milestone"),
    ],
)
def test_contradictions_are_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        replace(STANDING, **change)
