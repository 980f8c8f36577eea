"""The engine: rounds of the network's arithmetic, alike on every executor, resumed to the same bits, whatever the strategy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hansa.core.errors import ConfigError, FormatError, HansaError
from hansa.learning.compression.topk import TopK
from hansa.learning.robust.krum import MultiKrum
from hansa.learning.site import contribute
from hansa.learning.strategies import AnyStrategy, DiLoCo, FedAdam, FedAvg, FedNova, FedProx, Scaffold
from hansa.learning.strategy import LocalTraining, derive_seed, mean_of
from hansa.model.aggregate import Aggregate
from hansa.model.architectures import Objective, initial
from hansa.model.update import Update, quantise, uniform_scales
from hansa.simulation.attacks import Backdoor, LabelFlip, NotANumber, SignFlip
from hansa.simulation.checkpoint import Checkpoint
from hansa.simulation.choice import TOLERANCE
from hansa.simulation.draw import Fixed, Poisson
from hansa.simulation.engine import Make, Simulation
from hansa.simulation.executors import executor
from hansa.simulation.population import Synthetic, SyntheticPopulation
from hansa.simulation.processes import Processes
from hansa.simulation.sequential import Sequential
from hansa.simulation.vectorised import Vectorised
from hansa.simulation.work import Shop
from tests.simulation.few import CPU, LOCAL, MODEL, held_out, population, simulation, work

STRATEGIES: list[AnyStrategy] = [
    FedAvg(LOCAL), FedProx(LocalTraining(rate=0.2, batch=8, epochs=2, proximal=0.1)),
    Scaffold(LOCAL, clients=30), FedNova(LOCAL, reach=4.0),
    FedAdam(LOCAL), DiLoCo(LocalTraining(rate=0.02, batch=8, steps=5, optimiser="adamw"), inner="carry"),
]  # fmt: skip


def played(run: Simulation, rounds: int = 4) -> bytes:
    try:
        for _ in run.run(rounds):
            pass
        return run.state.vector.tobytes()
    finally:
        run.close()


def apart(one: bytes, two: bytes) -> float:
    first, second = (np.frombuffer(each, np.float32) for each in (one, two))
    return float(np.linalg.norm(first - second) / np.linalg.norm(first - initial(MODEL, 5).vector))


def test_a_round_is_the_networks_own() -> None:
    run, base = simulation(make=Sequential), initial(MODEL, 5)
    clients, scales = Fixed(8).clients(30, 5, 1), uniform_scales(base.layout, 1.0)
    updates = []
    for client in clients.tolist():
        rows = population().rows(client)
        made = contribute(FedAvg(LOCAL), MODEL, Objective.CATEGORICAL, base, (), (), rows, derive_seed(5, 1, str(client)))
        updates.append(Update(base.layout, scales, quantise(base.layout, made.sent, scales)[0], len(rows.labels)))
    expected, _ = FedAvg(LOCAL).step(base, mean_of(Aggregate.of(updates)), ())
    record = run.step()
    assert run.state == expected
    assert (record.clients, record.weight) == (8, sum(update.weight for update in updates)) and record.steps > 0


def test_it_learns() -> None:
    run = simulation(test=held_out(), every=5)
    records = list(run.run(10))
    assert [record.test is not None for record in records] == [number % 5 == 0 for number in range(1, 11)]
    assert run.results.test is not None and (run.results.test.accuracy or 0) > 0.85
    assert (records[-1].loss or 9) < (records[0].loss or 0)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: type(each).__name__)
def test_stacked_and_one_by_one_agree(strategy: AnyStrategy) -> None:
    one, two = (played(simulation(strategy=strategy, make=make)) for make in (Sequential, Vectorised))
    assert one != initial(MODEL, 5).vector.tobytes() and apart(one, two) < TOLERANCE


@pytest.mark.parametrize(
    "changed",
    [
        {"strategy": Scaffold(LOCAL, clients=30)}, {"compression": TopK(keep=10, chunk=32)}, {"rule": MultiKrum(f=1)},
        {"attack": SignFlip(), "dishonest": 9}, {"strategy": FedAdam(LOCAL), "clip": 0.5, "equal": True},
    ],
    ids=lambda each: str(list(each)),
)  # fmt: skip
def test_processes_give_the_same_bits(changed: dict[str, object]) -> None:
    def two(shop: Shop) -> Processes:
        return Processes(shop, 2)

    assert played(simulation(make=Sequential, **changed), 3) == played(simulation(make=two, **changed), 3)


def test_processes_with_other_populations_and_ways(tmp_path: Path) -> None:
    synthetic = SyntheticPopulation(Synthetic(features=6, classes=3), 50, 1, CPU)
    runs = [Simulation(Shop.of(work(), synthetic), Fixed(6), make) for make in (Sequential, lambda shop: Processes(shop, 2))]
    assert len({played(run, 2) for run in runs}) == 1
    stacked = [simulation(make=make) for make in (Sequential, lambda shop: Processes(shop, 2, "vectorised"))]
    assert apart(*(played(run, 2) for run in stacked)) < TOLERANCE


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("make", [Sequential, Vectorised], ids=lambda each: each.name)
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path, strategy: AnyStrategy, make: Make) -> None:
    changed: dict[str, object] = {"strategy": strategy, "make": make, "compression": TopK(keep=10, chunk=32)}
    whole = simulation(**changed)
    expected = played(whole, 6)
    first = simulation(checkpoint=Checkpoint(tmp_path, "s"), **changed)
    for record in first.run(3):
        assert record.round <= 3
    # Killed in the middle of round 4: what clients keep is written, a record half, the state not.
    first._kept.put(4, first._kept.select(range(30)))
    with (tmp_path / "records.jsonl").open("ab") as file:
        file.write(b'{"round":4,"cli')
    second = simulation(checkpoint=Checkpoint(tmp_path, "s"), **changed)
    second.resume(lambda name: executor(name) or make)
    assert second.round == 3 and played(second, 6) == expected
    assert [record.round for record in second.records] == [1, 2, 3, 4, 5, 6]
    assert [(a.weight, a.loss) for a in second.records] == [(b.weight, b.loss) for b in whole.records]


def test_another_run_or_none_is_not_resumed(tmp_path: Path) -> None:
    run = simulation(checkpoint=Checkpoint(tmp_path, "one"))
    with pytest.raises(ConfigError, match="no simulation to resume"):
        run.resume(lambda name: Sequential)
    run.step()
    other = simulation(checkpoint=Checkpoint(tmp_path, "two"))
    with pytest.raises(ConfigError, match="another scenario"):
        other.resume(lambda name: Sequential)
    (tmp_path / "records.jsonl").write_bytes(b"")
    with pytest.raises(ConfigError, match="lacks rounds"):
        simulation(checkpoint=Checkpoint(tmp_path, "one")).resume(lambda name: Sequential)
    (tmp_path / "state.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(ConfigError, match="not a simulation's state"):
        simulation(checkpoint=Checkpoint(tmp_path, "one")).resume(lambda name: Sequential)


def test_the_first_cohort_decides_and_the_choice_is_said() -> None:
    run = simulation()
    run.step()
    assert "times the sequential time" in run.words and run.records[0].executor in ("sequential", "vectorised")
    # What was timed counts as the round: the sequential outcome, whichever was chosen.
    alone = simulation(make=Sequential)
    alone.step()
    assert run.state == alone.state


def test_what_cannot_be_stacked_runs_one_by_one() -> None:
    adam = LocalTraining(rate=0.02, batch=8, epochs=1, optimiser="adam")
    carried = {"strategy": DiLoCo(adam, inner="carry")}
    one, two = simulation(make=Sequential, **carried), simulation(make=Vectorised, **carried)
    assert apart(played(one, 6), played(two, 6)) < TOLERANCE


def test_attackers_move_a_mean_but_not_a_robust_rule() -> None:
    attack = {"attack": SignFlip(), "dishonest": 6}
    plain = simulation(20, test=held_out(), make=Sequential, **attack)
    robust = simulation(20, test=held_out(), make=Sequential, rule=MultiKrum(f=6), **attack)
    for run in (plain, robust):
        list(run.run(8))
    assert all(record.left_out for record in robust.records)
    assert plain.results.test is not None and robust.results.test is not None
    assert (robust.results.test.accuracy or 0) > 0.8 and plain.results.test.loss > robust.results.test.loss


def test_wrong_rows_and_no_numbers() -> None:
    flipped = simulation(20, test=held_out(), make=Vectorised, attack=LabelFlip(classes=3), dishonest=15)
    honest = simulation(20, test=held_out(), make=Vectorised)
    for run in (flipped, honest):
        list(run.run(5))
    assert flipped.results.test is not None and honest.results.test is not None
    assert flipped.results.test.loss > honest.results.test.loss
    refused = simulation(20, make=Sequential, attack=NotANumber(), dishonest=15, equal=True)
    record = refused.step()
    assert record.clients == 20 and record.weight == 20 - sum(client < 15 for client in Fixed(20).clients(30, 5, 1))
    assert np.isfinite(refused.state.vector).all()
    simulation(20, make=Sequential, attack=Backdoor(width=2), dishonest=3).step()


def test_an_empty_round_changes_nothing() -> None:
    run = simulation(draw=Poisson(0.04), make=Sequential)
    before, seen = run.state, False
    for _ in range(20):
        record = run.step()
        seen = seen or not record.clients
        assert record.clients or (run.state == before and record.loss is None and record.weight == 0)
        before = run.state
    assert seen


def test_memory_is_bounded_by_what_clients_keep(tmp_path: Path) -> None:
    run = simulation(strategy=Scaffold(LOCAL, clients=30), make=Sequential, memory=1000)
    unbounded = simulation(strategy=Scaffold(LOCAL, clients=30), make=Sequential)
    assert played(run, 6) == played(unbounded, 6)


def test_divergence_names_the_client() -> None:
    wild = FedAvg(LocalTraining(rate=1000.0, batch=1, epochs=20))
    for make in (Sequential, Vectorised, lambda shop: Processes(shop, 2)):
        run = simulation(strategy=wild, make=make)
        with pytest.raises(FormatError, match=r"client \d+ in round 1: .*learning rate"):
            played(run, 5)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"draw": Fixed(31)}, "cannot be drawn from a population of 30"),
        ({"attack": SignFlip(), "dishonest": 30}, "cannot all be dishonest"),
        ({"dishonest": 3}, "dishonest clients"),
        ({"objective": Objective.BINARY}, "1 output"),
        ({"bits": 8}, "16 or 32"),
        ({"bound": 0.0}, "above 0"),
        ({"seed": -1}, "seed"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(HansaError, match=sentence):
        simulation(**changed)
    with pytest.raises(ConfigError, match="not one of auto"):
        executor("fast")
