"""`hansa job`: an order that cannot work costs nothing and loses nothing; one that can is posted once."""

from __future__ import annotations

import datetime
from pathlib import Path

import msgspec
import pytest

from hansa.core.config import save
from hansa.market.order import Order
from hansa.model.architectures import Linear
from tests.cli.conftest import Hansa, Said, Town, an_order, copy_home


@pytest.fixture
def place(town: Town, tmp_path: Path, table: Path) -> Path:
    """A home of the test's own with the town's clients, and the order's folder."""
    return copy_home(town, tmp_path / "copy")


def balance(hansa: Hansa, home: Path, name: str) -> object:
    found = hansa("node", "status", name, "--json", home=home).json
    assert isinstance(found, dict)
    return found["balance"]


def post(hansa: Hansa, home: Path, order: Order, *words: str) -> Said:
    path = home.parent / "order.toml"
    save(path, order)
    return hansa("job", "post", path, *words, home=home)


def test_a_budget_above_the_balance_costs_nothing(hansa: Hansa, place: Path, table: Path) -> None:
    before = balance(hansa, place, "poor")
    post(hansa, place, an_order(table.name, "2"), "--as", "poor").sentence(2, "the budget of", "is above the balance of")
    assert balance(hansa, place, "poor") == before
    assert not list((place / "nodes" / "poor" / "orders").glob("*"))


def test_a_deadline_in_the_past_costs_nothing(hansa: Hansa, place: Path, table: Path) -> None:
    before = balance(hansa, place, "client")
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    path = place.parent / "order.toml"
    save(path, an_order(table.name))
    path.write_text(path.read_text().replace("deadline = 3600", f"deadline = {past.isoformat()}"))
    hansa("job", "post", path, home=place).sentence(2, "in the past", "set it later")
    assert balance(hansa, place, "client") == before


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"budget": "a lot"}, 2, ("'a lot' is not an amount of tokens",)),
        ({"milestones": 3}, 2, ("rounds cannot be 2; the contracts allow 3 to 192",)),
        ({"rounds": 3, "milestones": 2}, 2, ("3 rounds do not divide into 2 milestones",)),
        ({"architecture": Linear(5)}, 2, ("the architecture takes 5 inputs, but the schema's columns make 2",)),
        ({"held": msgspec.structs.replace(an_order("").held, path="nowhere.csv")}, 3, ("nowhere.csv cannot be read",)),
    ],
)
def test_an_order_that_does_not_hold_together_costs_nothing(
    hansa: Hansa, place: Path, table: Path, changed: dict[str, object], code: int, words: tuple[str, ...]
) -> None:
    before = balance(hansa, place, "client")
    said = post(hansa, place, msgspec.structs.replace(an_order(table.name), **changed))
    said.sentence(code, *words)
    assert balance(hansa, place, "client") == before


def test_a_misspelt_field_of_an_order_is_named(hansa: Hansa, place: Path, table: Path) -> None:
    path = place.parent / "order.toml"
    save(path, an_order(table.name))
    path.write_text("buget = '3'\n" + path.read_text())
    hansa("job", "post", path, home=place).sentence(2, "order.toml", "unknown field `buget`")


def test_jobs_that_do_not_exist_are_said_so(hansa: Hansa, place: Path) -> None:
    hansa("job", "show", "99", home=place).sentence(6, "there is no job 99")
    hansa("job", "watch", "99", home=place).sentence(6, "there is no job 99")
    hansa("audit", "99", home=place).sentence(6, "there is no job 99")
    hansa("audit", "nonsense", home=place).sentence(2, "neither a job's number nor a digest")
    hansa("model", "show", "99", home=place).sentence(6, "there is no model 99")


def test_jobs_are_a_clients_business(hansa: Hansa, site: Path, table: Path) -> None:
    path = table.parent / "order.toml"
    save(path, an_order(table.name))
    hansa("job", "post", path, "--as", "site").sentence(2, "is a trainer's")
