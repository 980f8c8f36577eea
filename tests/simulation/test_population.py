"""Populations: a client's rows are a function of its number, and test rows come from nobody who takes part."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hansa.core.errors import FormatError
from hansa.learning.local import Placed
from hansa.simulation.attacks import LabelFlip
from hansa.simulation.poisoned import Poisoned
from hansa.simulation.population import Population, Synthetic, SyntheticPopulation
from tests.simulation.few import CPU, ROWS, population


def made(clients: int = 1_000_000, **changed: object) -> SyntheticPopulation:
    return SyntheticPopulation(Synthetic(features=6, classes=3, spread=0.5, **changed), clients, 4, CPU)  # type: ignore[arg-type]


def picked(table: Placed, places: np.ndarray) -> tuple[bytes, bytes]:
    return table.features[torch.from_numpy(places)].numpy().tobytes(), table.labels[torch.from_numpy(places)].numpy().tobytes()


def poisoned() -> Poisoned:
    return Poisoned(population(), LabelFlip(classes=3), 4, 1)


@pytest.mark.parametrize("which", [made, population, poisoned])
def test_rows_and_table_are_the_same_rows(which: type[Population]) -> None:
    crowd = which()
    clients = [3, 17, 5, 0]
    table, places = crowd.table(clients)
    for client, where in zip(clients, places, strict=True):
        rows = crowd.rows(client)
        assert picked(table, where) == (rows.features.numpy().tobytes(), rows.labels.numpy().tobytes())
        assert crowd.size(client) == len(rows.labels) >= 1


def test_synthetic_clients_are_functions_of_their_numbers() -> None:
    few, many = made(10), made()
    assert all(np.array_equal(few.examples(client).features, many.examples(client).features) for client in range(10))
    assert not np.array_equal(many.examples(1).features[:3], many.examples(2).features[:3])
    unseen = few.unseen(3)
    assert np.array_equal(unseen.features[: few.size(10)], few.examples(10).features)


def test_unlikeness_is_as_declared() -> None:
    alike, unlike = made(alpha=0.0, beta=0.0), made(alpha=0.0, beta=3.0)
    spread = [np.std([crowd.examples(client).features.mean() for client in range(50)]) for crowd in (alike, unlike)]
    assert spread[1] > 5 * spread[0]


def test_only_the_dishonest_have_other_rows() -> None:
    crowd, honest = poisoned(), population()
    for client in range(8):
        assert np.array_equal(crowd.rows(client).features, honest.rows(client).features)
        labels = honest.rows(client).labels
        assert np.array_equal(crowd.rows(client).labels, 2 - labels if client < 4 else labels)
    assert crowd.table([5, 6])[0] is crowd.honest.table([5, 6])[0]
    assert int(ROWS.labels.max()) == 2


def test_values_out_of_bounds_are_refused() -> None:
    for wrong in (lambda: Synthetic(features=0), lambda: Synthetic(classes=1), lambda: Synthetic(spread=-1.0), lambda: made(0)):
        with pytest.raises(FormatError):
            wrong()
