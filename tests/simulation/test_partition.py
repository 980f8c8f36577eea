"""Partitions: every row once, the skew they promise, equal for equal seeds, and nothing per client before it is asked for."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import ConfigError, FormatError
from hansa.simulation.partition import Assignment, Dealt, Dirichlet, Iid, Owners, Partition, Quantity, Shards, assign

LABELS = np.random.default_rng(0).integers(0, 10, 6000)
DEALING: list[Partition] = [
    Iid(), Dirichlet(0.1, least=5), Dirichlet(100.0), Quantity(1.0), Quantity(1.5, law="zipf", least=3), Shards(), Shards(3),
]  # fmt: skip
DRAWING: list[Partition] = [Iid(rows=20), Dirichlet(0.3, rows=20), Quantity(1.0, rows=20)]


def held(assignment: Assignment) -> list[np.ndarray]:
    return [assignment.rows(client) for client in range(assignment.clients)]


def classes(assignment: Assignment) -> float:
    """Mean over clients of how many classes they hold."""
    return float(np.mean([len(np.unique(LABELS[rows])) for rows in held(assignment)]))


@pytest.mark.parametrize("partition", DEALING, ids=repr)
def test_dealing_gives_each_row_to_one_client(partition: Partition) -> None:
    found = assign(partition, 100, 5, LABELS)
    assert sorted(np.concatenate(held(found))) == list(range(6000))
    assert [found.size(client) for client in range(100)] == [len(rows) for rows in held(found)]
    assert min(map(len, held(found))) >= getattr(partition, "least", 1)


@pytest.mark.parametrize("partition", DEALING + DRAWING, ids=repr)
def test_the_seed_alone_decides(partition: Partition) -> None:
    first, again, other = (assign(partition, 50, seed, LABELS) for seed in (5, 5, 6))
    assert all(np.array_equal(first.rows(client), again.rows(client)) for client in range(50))
    assert not all(np.array_equal(first.rows(client), other.rows(client)) for client in range(50))


@pytest.mark.parametrize("partition", DRAWING, ids=repr)
def test_drawing_is_a_function_of_the_clients_number(partition: Partition) -> None:
    few, many = assign(partition, 10, 5, LABELS), assign(partition, 1_000_000, 5, LABELS)
    assert all(np.array_equal(few.rows(client), many.rows(client)) for client in range(10))
    for client in (0, 9, 999_999):
        rows = many.rows(client)
        assert len(rows) == many.size(client) >= 1 and 0 <= rows.min() and rows.max() < 6000


def test_skew_is_as_declared() -> None:
    assert classes(assign(Iid(), 100, 1, LABELS)) > 9.5
    assert classes(assign(Shards(), 100, 1, LABELS)) < 4.5
    assert classes(assign(Dirichlet(0.05, least=5), 100, 1, LABELS)) < 4 < classes(assign(Dirichlet(100.0), 100, 1, LABELS))
    assert classes(assign(Dirichlet(0.1, rows=60), 100, 1, LABELS)) < 4 < classes(assign(Dirichlet(100.0, rows=60), 100, 1, LABELS))
    sizes = np.array([len(rows) for rows in held(assign(Quantity(1.0), 200, 1, LABELS))])
    assert 0.5 < np.log(sizes).std() < 1.3
    zipf = np.sort([len(rows) for rows in held(assign(Quantity(1.0, law="zipf"), 50, 1, LABELS))])[::-1]
    assert 1.7 < zipf[0] / zipf[1] < 2.2 and 8 < zipf[0] / zipf[9] < 12
    drawn = assign(Quantity(1.0, rows=50), 400, 1, LABELS)
    assert 40 < np.median([drawn.size(client) for client in range(400)]) < 62


def test_owners_are_the_datas_own() -> None:
    owners = np.array([2, 0, 1, 2, 0, 2])
    found = assign(Owners(), 3, 0, np.zeros(6, np.int64), owners)
    assert [rows.tolist() for rows in held(found)] == [[1, 4], [2], [0, 3, 5]]


def test_numbers_as_labels_are_dealt_and_drawn() -> None:
    values = np.arange(50, dtype=np.float32)
    assert sorted(np.concatenate(held(assign(Iid(), 7, 0, values)))) == list(range(50))
    assert len(set(assign(Iid(rows=9), 70, 0, values).rows(69).tolist())) == 9


def test_a_million_clients_cost_no_more_than_the_table() -> None:
    tracemalloc.start()
    found = assign(Dirichlet(0.3, rows=20), 1_000_000, 3, LABELS)
    sum(len(found.rows(client)) for client in range(0, 1_000_000, 50_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 1000), st.floats(0.001, 10))
def test_the_least_is_kept_whatever_the_skew(clients: int, least: int, seed: int, alpha: float) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, clients * least + seed % 7)
    found = assign(Dirichlet(alpha, least=least), clients, seed, labels)
    assert sorted(np.concatenate(held(found))) == list(range(len(labels))) and min(map(len, held(found))) >= least


@pytest.mark.parametrize(
    ("partition", "clients", "sentence"),
    [
        (Iid(), 6001, "cannot be dealt to 6001 clients"),
        (Dirichlet(1.0, least=70), 100, "need 7000"),
        (Shards(61), 100, "need 6100"),
        (Iid(rows=6001), 10, "lower rows"),
        (Iid(), 0, "1 to 2147483648 clients"),
        (Owners(), 3, "name no owner"),
    ],
)
def test_what_cannot_be_divided_is_refused(partition: Partition, clients: int, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        assign(partition, clients, 0, LABELS)


def test_other_refusals() -> None:
    with pytest.raises(ConfigError, match="make the population 3"):
        assign(Owners(), 4, 0, np.zeros(6, np.int64), np.array([2, 0, 1, 2, 0, 2]))
    with pytest.raises(ConfigError, match="labels are numbers"):
        assign(Shards(), 4, 0, np.zeros(60, np.float32))
    for wrong in (
        lambda: Iid(rows=-1), lambda: Dirichlet(0.0), lambda: Dirichlet(1.0, least=0), lambda: Quantity(0.0), lambda: Shards(0),
        lambda: Quantity(1.0, law="zipf", rows=5), lambda: Quantity(1.0, least=1 << 21),
    ):  # fmt: skip
        with pytest.raises(FormatError):
            wrong()
    assert isinstance(assign(Iid(), 2, 0, LABELS), Dealt)
