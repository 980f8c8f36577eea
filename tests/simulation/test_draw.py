"""Cohorts: without replacement, all clients alike, a function of seed and round, in memory of the cohort's size."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from hansa.core.errors import ConfigError, FormatError
from hansa.simulation.draw import Draw, Fixed, Poisson


@pytest.mark.parametrize("draw", [Fixed(10), Fixed(70), Fixed(100), Poisson(0.1), Poisson(1.0)], ids=repr)
def test_cohorts_are_of_different_clients_and_repeat(draw: Draw) -> None:
    for round in range(20):
        clients = draw.clients(100, 3, round)
        assert np.array_equal(clients, np.unique(clients)) and (not len(clients) or 0 <= clients[0] <= clients[-1] < 100)
        assert np.array_equal(clients, draw.clients(100, 3, round))
    assert not np.array_equal(Fixed(10).clients(100, 3, 1), Fixed(10).clients(100, 3, 2))
    assert not np.array_equal(Fixed(10).clients(100, 3, 1), Fixed(10).clients(100, 4, 1))


@pytest.mark.parametrize("draw", [Fixed(10), Fixed(30), Poisson(0.2)], ids=repr)
def test_all_clients_are_alike(draw: Draw) -> None:
    counts, rounds = np.zeros(40), 3000
    for round in range(rounds):
        counts[draw.clients(40, 0, round)] += 1
    share = counts.sum() / rounds / 40
    assert np.abs(counts / rounds - share).max() < 5 * np.sqrt(share * (1 - share) / rounds)


def test_a_poisson_cohort_varies_as_a_binomial() -> None:
    sizes = [len(Poisson(0.01).clients(10_000, 0, round)) for round in range(400)]
    assert abs(np.mean(sizes) - 100) < 2 and 80 < np.var(sizes) < 120
    assert any(not len(Poisson(0.5).clients(2, 0, round)) for round in range(30))


def test_memory_grows_with_the_cohort_alone() -> None:
    tracemalloc.start()
    assert len(Fixed(1000).clients(1 << 31, 0, 1)) == 1000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000


def test_cohorts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="cohort of 11 cannot be drawn from a population of 10"):
        Fixed(11).check(10)
    with pytest.raises(ConfigError, match="raise the rate"):
        Poisson(0.001).check(10)
    for wrong in (lambda: Fixed(0), lambda: Poisson(0.0), lambda: Poisson(1.1)):
        with pytest.raises(FormatError):
            wrong()
