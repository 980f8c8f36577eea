"""The hospitals' plan: every party once, every row with one owner, nothing that a user changed overwritten."""

from __future__ import annotations

from pathlib import Path

from hansa.core.config import load
from hansa.learning import data
from hansa.market.order import Order, amount
from hansa.simulation.hospitals import patients
from hansa.simulation.plan import ORDER, hospital_plan


def test_everyone_is_there_with_rows_that_read(tmp_path: Path) -> None:
    plan = hospital_plan(tmp_path)
    roles = [member.role for member in plan.members]
    assert [roles.count(role) for role in ("client", "trainer", "coordinator", "verifier")] == [1, 4, 2, 3]
    assert [member.standby for member in plan.members if member.role == "coordinator"] == [False, True]
    rows = 0
    for member in plan.members:
        assert member.stake <= member.tokens
        if member.data is not None:
            found = data.read(tmp_path / "nodes" / member.name / member.data.path, member.data.data_schema)
            rows += len(found)
    assert rows == 569 - len(patients().client.labels)


def test_the_sample_order_fits_the_network(tmp_path: Path) -> None:
    plan = hospital_plan(tmp_path)
    order = load(tmp_path / "nodes" / "client" / ORDER, Order)
    for role, stake in (
        ("trainer", order.seats.trainer_stake), ("coordinator", order.seats.coordinator_stake), ("verifier", order.seats.verifier_stake),
    ):  # fmt: skip
        assert all(member.stake >= amount(stake) for member in plan.members if member.role == role)
    assert sum(order.budgets()) == amount(order.budget) <= plan.members[0].tokens


def test_what_a_user_wrote_stays(tmp_path: Path) -> None:
    hospital_plan(tmp_path)
    for path in (tmp_path / "nodes" / "charite" / "data" / "patients.csv", tmp_path / "nodes" / "client" / ORDER):
        path.write_text("mine")
    hospital_plan(tmp_path)
    assert (tmp_path / "nodes" / "charite" / "data" / "patients.csv").read_text() == "mine"
    assert (tmp_path / "nodes" / "client" / ORDER).read_text() == "mine"
