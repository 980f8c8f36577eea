"""Ray's actors do what this process does, to the same bits; without Ray one sentence says what to install."""

from __future__ import annotations

import importlib.util

import pytest

from hansa.core.errors import ConfigError, FormatError
from hansa.learning.strategies import FedAvg, Scaffold
from hansa.learning.strategy import LocalTraining
from hansa.simulation.executors import executor
from hansa.simulation.sequential import Sequential
from tests.simulation.few import LOCAL, simulation

absent = importlib.util.find_spec("ray") is None


@pytest.mark.skipif(not absent, reason="Ray is installed")
def test_without_ray_it_is_said() -> None:
    run = simulation(make=executor("ray", 2))
    with pytest.raises(ConfigError, match=r"install hansa\[ray\]"):
        run.step()


@pytest.mark.slow
@pytest.mark.skipif(absent, reason="Ray is not installed (extra ray)")
@pytest.mark.filterwarnings("ignore")
def test_actors_give_the_same_bits() -> None:
    outcomes = []
    for make in (Sequential, executor("ray", 2)):
        run = simulation(strategy=Scaffold(LOCAL, clients=30), make=make)
        try:
            list(run.run(3))
            outcomes.append(run.state)
        finally:
            run.close()
    assert outcomes[0] == outcomes[1]
    wild = simulation(strategy=FedAvg(LocalTraining(rate=1000.0, batch=1, epochs=20)), make=executor("ray", 2))
    try:
        with pytest.raises(FormatError, match=r"client \d+ in round"):
            list(wild.run(5))
    finally:
        wild.close()
