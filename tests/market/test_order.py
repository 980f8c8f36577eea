"""An order in its file, its blobs, its specification and its terms."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hansa.core.config import dump, parse
from hansa.core.errors import ConfigError, DataError
from hansa.core.types import BlobRef, Digest
from hansa.learning import shards
from hansa.learning.schema import Numeric, Schema
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategy import LocalTraining
from hansa.market.order import Held, Order, Seats, Times, amount, prepare, specification, terms
from hansa.model import codec
from hansa.model.architectures import Linear, Objective, initial
from hansa.storage import unixfs

SCHEMA = Schema((Numeric("age"), Numeric("marker")), "ill", {"no": 0, "yes": 1})
ROWS = 90


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [f"{30 + n},{n % 11},{'yes' if n % 3 else 'no'}\n" for n in range(ROWS)]
    (tmp_path / "held.csv").write_text("age,marker,ill\n" + "".join(lines))
    return tmp_path


def order(**changed: object) -> Order:
    made = Order(
        title="a study", budget="100", rounds=4, milestones=2, seats=Seats(trainers=3, quorum=2), times=Times(60, 20, 10, 900),
        data_schema=SCHEMA, architecture=Linear(2), objective=Objective.BINARY, strategy=FedAvg(LocalTraining(rate=0.1, batch=8, epochs=1)),
        held=Held("held.csv", margin=0.05), seed=7,
    )  # fmt: skip
    return replace(made, **changed)


@given(st.integers(0, 10**12), st.integers(0, 18))
def test_amounts_are_exact(number: int, places: int) -> None:
    whole, rest = divmod(number, 10**places)
    text = f"{whole}.{rest:0{places}d}" if places else str(whole)
    assert amount(text) == number * 10 ** (18 - places)


@pytest.mark.parametrize("text", ["", "much", "-1", "1e400", "nan", "inf", "0." + "0" * 18 + "1", str(1 << 128), "1,5"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not an amount of tokens"):
        amount(text)


@given(st.integers(1, 10**9), st.integers(1, 16))
def test_budgets_add_up(budget: int, milestones: int) -> None:
    parts = order(budget=str(budget), milestones=milestones).budgets()
    assert len(parts) == milestones and sum(parts) == budget * 10**18 and max(parts) - min(parts) < milestones


def test_an_order_comes_back_from_its_file() -> None:
    assert parse(dump(order()), Order, "the order") == order()


def test_a_date_is_a_deadline_too() -> None:
    late = datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC)
    text = dump(order()).replace("deadline = 900", "deadline = 2030-01-02T00:00:00Z")
    read = parse(text, Order, "the order")
    ref = BlobRef(bytes(32), 1)
    assert terms(read, 1_700_000_000, ref, ref, Digest(bytes(32))).deadline == late.timestamp()
    assert terms(order(), 1_700_000_000, ref, ref, Digest(bytes(32))).deadline == 1_700_000_900


def test_every_row_is_public_or_in_one_sealed_shard(folder: Path) -> None:
    made = prepare(order(), folder)
    parts = [shards.read(made.progress), *map(shards.read, made.sealed)]
    assert len(made.sealed) == 2 and sum(map(len, parts)) == ROWS
    rows = np.concatenate([part.features for part in parts])
    assert len({tuple(row) for row in rows.tolist()}) == ROWS
    assert {round(float(part.labels.mean()), 1) for part in parts} == {0.7}
    assert (made.baseline, made.against) == (666_666, "always the commonest class")
    assert prepare(order(), folder) == made


def test_the_specification_names_the_blobs(folder: Path) -> None:
    made = prepare(order(held=Held("held.csv", margin=0.05, baseline=0.8)), folder)
    genesis, progress = unixfs.root(made.genesis), unixfs.root(made.progress)
    spec = specification(order(), made, genesis, progress)
    assert (spec.genesis, spec.progress, spec.acceptance.baseline, spec.acceptance.margin) == (genesis, progress, 800_000, 50_000)
    assert codec.decode(made.genesis, spec.layout).vector.tolist() == initial(Linear(2), 7).vector.tolist()


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"architecture": Linear(3)}, ConfigError, "takes 3 inputs, but the schema's columns make 2"),
        ({"held": Held("other.csv")}, DataError, "other.csv cannot be read"),
        ({"held": Held("held.csv", progress=1.5)}, DataError, "share between 0 and 1"),
        ({"milestones": 0}, ConfigError, "at least one milestone"),
    ],
)
def test_what_does_not_fit_is_refused(folder: Path, changed: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        made = order(**changed)
        prepare(made, folder)
        made.budgets()
