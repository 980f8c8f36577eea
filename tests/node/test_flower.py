"""A trainer that lets a Flower app train: its configuration, its names, the jobs that it refuses, and a network that takes its updates."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hansa.core.encoding import sha256
from hansa.core.errors import ConfigError, DataError, FormatError, WorkerError
from hansa.core.types import Address
from hansa.learning import examples
from hansa.learning.examples import Examples
from hansa.learning.strategies.boosting import Boosting
from hansa.learning.strategies.diloco import DiLoCo
from hansa.learning.strategies.fedadam import FedAdam
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategies.fedavgm import FedAvgM
from hansa.learning.strategies.fedbn import FedBN
from hansa.learning.strategies.fedbuff import FedBuff
from hansa.learning.strategies.fednova import FedNova
from hansa.learning.strategies.fedprox import FedProx
from hansa.learning.strategies.scaffold import Scaffold
from hansa.learning.strategy import LocalTraining, Vectors
from hansa.model.architectures import Linear, Lora, Mlp, Trees, layout
from hansa.model.state import ModelState, Vector
from hansa.node.compose import make_trainer
from hansa.node.config import ChainConfig, DataConfig, FlowerConfig, KeyConfig, NodeConfig, load_node
from hansa.node.flower import FlowerTrainer, Names, app_order, check_strategy, flower_pool, message_config, node_number, with_defaults
from hansa.node.node import Parts
from hansa.node.trainer import TrainerNode
from hansa.rounds.job import JobState
from hansa.rounds.spec import JobSpec
from tests.flower.python import APP, OTHERS, flower_python
from tests.node.conftest import Hall
from tests.node.world import FEATURES, SCHEMA, Make, SharedPool, World, populate, rows

NAMES = {"linear.weight": "out.weight", "linear.bias": "out.bias"}
LOCAL = LocalTraining(rate=0.5, batch=8, epochs=1)
TOML = """
name = "lyon"
role = "{role}"
chain = {{ endpoints = ["http://127.0.0.1:1"], deployment = "deployment.json" }}
key = {{ keystore = "account.json", password_file = "password", transport = "tls" }}

[data]
path = "rows.csv"
schema = {{ label = "y", classes = {{ no = 0, yes = 1 }}, features = [{{ type = "numeric", name = "x0" }}] }}

[flower]
python = "venv/bin/python"
app = "{app}"
folder = "app"
time_limit = {limit}

[flower.names]
"linear.weight" = "out.weight"
"linear.bias" = "{bias}"

[flower.node]
partition-id = 3

[flower.train]
lr = 0.25
"""


def config(folder: Path, role: str = "trainer", app: str = "client_app:app", limit: str = "60.0", bias: str = "out.bias") -> NodeConfig:
    (folder / "node.toml").write_text(TOML.format(role=role, app=app, limit=limit, bias=bias))
    return load_node(folder / "node.toml")


def test_a_table_of_the_configuration_declares_the_app(tmp_path: Path) -> None:
    section = config(tmp_path).flower
    assert section == FlowerConfig(
        "venv/bin/python", "client_app:app", "app", names=NAMES, node={"partition-id": 3}, train={"lr": 0.25}, time_limit=60.0
    )
    assert list(section.names) == list(NAMES), "in the order of the file, which is the app's"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"role": "verifier"}, r"a verifier does not train; only a trainer has a \[flower\] table"),
        ({"app": "client_app"}, r"app is 'client_app'; write it as module:attribute"),
        ({"app": "../client:app"}, "write it as module:attribute"),
        ({"bias": "out.weight"}, r"\[flower.names\] gives two tensors the same name"),
        ({"limit": "0.0"}, "time_limit is 0.0; it must be above 0"),
        ({"limit": "inf"}, "time_limit is inf"),
        ({"limit": "nan"}, "time_limit is nan"),
        ({"limit": "true"}, "in flower.time_limit"),
    ],
)
def test_mistakes_in_it_are_one_sentence(tmp_path: Path, changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        config(tmp_path, **changes)


def test_the_apps_own_file_gives_what_the_table_does_not(tmp_path: Path) -> None:
    section = FlowerConfig("python", "client_app:app", str(APP), run={"local-epochs": 5})
    assert with_defaults(section, tmp_path).run == {"local-epochs": 5, "loader.batch-size": 8}
    assert with_defaults(replace(section, folder="none"), tmp_path).run == {"local-epochs": 5}
    for text in ("[tool.flwr.app.config]\nlist = [1]", "[tool.flwr]\napp = 3", "no toml"):
        (tmp_path / "pyproject.toml").write_text(text)
        with pytest.raises(ConfigError, match=r"nothing that can be read under \[tool.flwr.app.config\]"):
            with_defaults(replace(section, folder="."), tmp_path)


def test_without_names_the_order_is_torchs() -> None:
    names = [tensor.name for tensor in app_order(layout(Mlp(3, (2, 2), 2)))]
    assert names == [f"layer0{place}.{part}" for place in range(3) for part in ("weight", "bias")]


@given(st.permutations(["layer00.weight", "layer00.bias", "layer01.weight", "layer01.bias"]), st.booleans())
def test_a_vector_goes_to_the_app_and_back_unchanged(order: list[str], named: bool) -> None:
    shape = layout(Mlp(3, (4,), 2))
    state = ModelState(shape, np.arange(shape.size, dtype=np.float32))
    names = Names(shape, {name: name.upper() for name in order} if named else {})
    sent = names.to_app(state.vector)
    expected = [state.tensors()[name] for name in order] if named else [state.tensors()[tensor.name] for tensor in app_order(shape)]
    assert [name for name, _ in names.arrays] == ([name.upper() for name in order] if named else [t.name for t in app_order(shape)])
    assert [shape for _, shape in names.arrays] == [array.shape for array in expected]
    assert np.frombuffer(sent, "<f4").tolist() == np.concatenate([array.ravel() for array in expected]).tolist()
    assert names.from_app(memoryview(sent)).tolist() == state.vector.tolist()
    for wrong in (sent[:-4], sent + b"1234", b""):
        with pytest.raises(FormatError, match=f"bytes for {shape.size} values"):
            names.from_app(memoryview(wrong))


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ({"linear.weight": "w"}, "lacks 'linear.bias'; the job's tensors are linear.weight, linear.bias$"),
        ({**NAMES, "head.weight": "h"}, "has 'head.weight'"),
    ],
)
def test_names_of_another_architecture_are_refused(names: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Names(layout(Linear(FEATURES, 1)), names)


def test_only_strategies_that_leave_sites_alone_are_played() -> None:
    for plain in (FedAvg(LOCAL), FedAvgM(LOCAL), FedAdam(LOCAL), FedProx(LOCAL), FedBuff(LOCAL, buffer=2)):
        check_strategy(plain)
    for other in (Scaffold(LOCAL, clients=3), FedNova(LOCAL, reach=2.0), FedBN(LOCAL, home=("linear.bias",))):
        with pytest.raises(DataError, match="has a part at the sites"):
            check_strategy(other)
    with pytest.raises(DataError, match="'boosting' has a part at the sites"):
        check_strategy(Boosting(Trees(FEATURES, 2, 2), rows=100))
    with pytest.raises(DataError, match="'diloco' has a part at the sites that a Flower app does not play; the job is left alone"):
        check_strategy(DiLoCo(LOCAL))
    with pytest.raises(DataError, match="has a proximal term"):
        check_strategy(FedProx(LocalTraining(rate=0.5, batch=8, epochs=1, proximal=0.1)))


class Recorder(FlowerTrainer):
    """Remembers what it made of which model."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.made: list[tuple[int, int, Vector, Vector]] = []

    async def change(
        self, job: JobState, spec: JobSpec, round: int, base: ModelState, told: Vectors, kept: Vectors
    ) -> tuple[Vector, Vectors]:
        change, keeps = await super().change(job, spec, round, base, told, kept)
        self.made.append((job.id, round, base.vector, change))
        return change, keeps


def write(path: Path, held: Examples) -> Path:
    """The rows as the CSV file that the app reads."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"x{place}" for place in range(FEATURES)), "y"])
        for features, label in zip(held.features, held.labels, strict=True):
            writer.writerow([*(f"{value:.9g}" for value in features), label])
    return path


def flower(section: FlowerConfig, pool: Any, seed: int = 2, kind: type[FlowerTrainer] = Recorder) -> Make:
    held = rows(seed)
    digest = examples.digest(held, sha256(b"salt"))

    def make(parts: Parts) -> TrainerNode:
        return kind(dataclasses.replace(parts, workers=pool), SCHEMA, held, digest, disclose_rows=True, flower=section)

    return make


def task() -> ModuleType:
    """The app's own training code, without Flower."""
    spec = importlib.util.spec_from_file_location("task_of_the_app", APP / "task.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def directly(data: Path, round: int, vector: Vector, rate: float) -> Vector:
    """What the same training makes of the model in this process."""
    import torch

    code, threads = task(), torch.get_num_threads()
    torch.manual_seed(round)
    state = ModelState(layout(Linear(FEATURES, 1)), vector).tensors()
    net = code.Net()
    net.load_state_dict({mine: torch.tensor(state[theirs]) for theirs, mine in NAMES.items()})
    torch.set_num_threads(1)
    code.train(net, code.load_data(data, 8), 2, rate)
    torch.set_num_threads(threads)
    after = {name: net.state_dict()[mine].numpy().ravel() for name, mine in NAMES.items()}
    return np.concatenate([after[name] for name in sorted(after)]) - vector


def test_a_network_takes_what_an_unmodified_app_trains(hall: Hall, tmp_path: Path) -> None:
    data = write(tmp_path / "rows.csv", rows(2))
    section = FlowerConfig(str(flower_python()), "client_app:app", str(APP), NAMES, node={"data": str(data)})

    async def scenario(world: World, pool: SharedPool) -> None:
        own = flower_pool(section, tmp_path)
        await own.start()
        await populate(world, pool, trainers=2)
        site = await world.add("t2", flower(with_defaults(section, tmp_path), own), own)
        assert isinstance(site, Recorder)
        job = await world.post(rounds=2, milestones=1)
        await world.step_until(lambda: len(world.state(job).final) == 2, "both rounds are final", most=400)
        assert [final.anchor.accepted for final in world.state(job).final] == [3, 3]
        assert [(number, round) for number, round, _, _ in site.made] == [(job, 1), (job, 2)]
        for _, round, vector, change in site.made:
            expected = directly(data, round, vector, 0.5)
            assert np.abs(expected).max() > 0.01
            np.testing.assert_allclose(change, expected, rtol=1e-5, atol=1e-6)

    hall.play(scenario)


def test_an_app_of_the_older_kind_trains_by_the_order_of_its_parameters(hall: Hall, tmp_path: Path) -> None:
    section = FlowerConfig(str(flower_python()), "old:app", str(OTHERS), train={"lr": 0.25})

    async def scenario(world: World, pool: SharedPool) -> None:
        own = flower_pool(section, tmp_path)
        await own.start()
        await populate(world, pool, trainers=2)
        site = await world.add("t2", flower(section, own), own)
        assert isinstance(site, Recorder)
        job = await world.post(rounds=1, milestones=1)
        await world.step_until(lambda: len(world.state(job).final) == 1, "the round is final", most=400)
        ((_, _, _, change),) = site.made
        np.testing.assert_allclose(change, [-1.0] + [0.25] * FEATURES, atol=1e-6)

    hall.play(scenario)


def test_an_app_that_fails_or_gives_no_numbers_costs_its_site_the_round_alone(hall: Hall, tmp_path: Path) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool, trainers=2)
        moods = FlowerConfig(str(flower_python()), "moods:app", str(OTHERS), NAMES, node={"note": str(tmp_path / "note")}, time_limit=0.5)
        sites = []
        for place, do in enumerate(ends := {
            "raise": (WorkerError, "seven by nothing"), "nan": (FormatError, "not finite"),
            "other names": (ConfigError, "other arrays than it got"), "hang": (WorkerError, "did not finish 'train' within 0.5 s"),
        }):  # fmt: skip
            section = replace(moods, train={"do": do})
            own = flower_pool(section, tmp_path)
            await own.start()
            sites.append(await world.add(f"f{place}", flower(section, own), own))
        job = await world.post(rounds=1, milestones=1, trainers=6, quorum=2)
        await world.step_until(lambda: len(world.state(job).final) == 1, "the round is final without them", most=400)
        assert world.state(job).final[0].anchor.accepted == 2
        state = world.state(job)
        for site, (kind, sentence) in zip(sites, ends.values(), strict=True):
            assert isinstance(site, Recorder) and site.account in state.trainers
            spec, _ = await site.spec(state)
            with pytest.raises(kind, match=sentence):
                await site.change(state, spec, 1, await site.model(state, spec, 1), (), ())

    hall.play(scenario)


def test_a_site_whose_names_are_not_the_jobs_stays_out_and_the_job_goes_on(hall: Hall) -> None:
    section = FlowerConfig("python", "client_app:app", "app", {"linear.weight": "w", "offset": "b"})

    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        site = await world.add("t9", flower(section, pool), pool)
        job = await world.post(trainers=4, quorum=3, rounds=1, milestones=1)
        await world.until(lambda: len(world.state(job).trainers) == 3, "three enrol")
        assert isinstance(site, FlowerTrainer)
        spec, _ = await site.spec(world.state(job))
        with pytest.raises(ConfigError, match="lacks 'linear.bias'"):
            await site.check_eligible(world.state(job), spec)
        with pytest.raises(DataError, match="a part at the sites"):
            await site.check_eligible(world.state(job), replace(spec, strategy=DiLoCo(LOCAL)))
        adapter = Lora(Linear(FEATURES, 1), spec.genesis, rank=1, alpha=1.0)
        with pytest.raises(DataError, match="an adapter of a frozen model"):
            await site.check_eligible(world.state(job), replace(spec, architecture=adapter))
        await world.step_until(lambda: len(world.state(job).final) == 1, "the round is final")
        assert site.account not in world.state(job).trainers

    hall.play(scenario)


def test_composition_makes_a_flower_trainer_of_a_configuration_with_an_app(hall: Hall, tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", rows(2))
    (tmp_path / "rows.csv").write_text((tmp_path / "rows.csv").read_text().replace(",0\n", ",no\n").replace(",1\n", ",yes\n"))
    (tmp_path / "salt").write_bytes(bytes(32))

    async def scenario(world: World, pool: SharedPool) -> None:
        client = await world.add("client", lambda parts: TrainerNode(parts, SCHEMA, rows(1), sha256(b"x"), disclose_rows=False), pool)
        node = NodeConfig(
            "lyon", "trainer", ChainConfig(("http://127.0.0.1:1",), "d"), KeyConfig("a", "b", "c"),
            data=DataConfig("rows.csv", SCHEMA), flower=FlowerConfig("python", "client_app:app", str(APP)),
        )  # fmt: skip
        made = make_trainer(node, tmp_path, client.parts)
        assert type(made) is FlowerTrainer and made._flower.run == {"local-epochs": 2, "loader.batch-size": 8}
        assert type(make_trainer(replace(node, flower=None), tmp_path, client.parts)) is TrainerNode

    hall.play(scenario, workers=False)


def test_what_comes_with_a_message_has_flowers_names() -> None:
    class Spec:
        strategy = FedAvg(LOCAL)

    said = message_config(Spec(), 4, 17, {"lr": 0.1, "more": True})  # type: ignore[arg-type]
    assert said == {"server-round": 4, "seed": 17, "lr": 0.1, "batch-size": 8, "local-epochs": 1, "more": True}
    Spec.strategy = FedAvg(LocalTraining(rate=0.5, batch=8, steps=6))
    assert message_config(Spec(), 4, 17, {})["local-steps"] == 6  # type: ignore[arg-type]


def test_a_node_has_the_same_number_of_63_bits_at_every_start() -> None:
    assert node_number(Address("0x" + "ff" * 20)) == (1 << 63) - 1
    assert node_number(Address("0x" + "00" * 7 + "02" + "ff" * 12)) == 1
