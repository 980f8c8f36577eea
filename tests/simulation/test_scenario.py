"""Scenario files: what they say is what is simulated, and every mistake in one is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hansa.core.config import parse
from hansa.core.errors import ConfigError, HansaError
from hansa.simulation.scenario import Scenario, load_scenario, simulate
from hansa.simulation.sources import BreastCancer, Csv, Digits, HeartDisease, Mnist
from tests.conftest import ROOT

PLAIN = """
rounds = 3
clients = 20
objective = "cross-entropy"
cohort = { type = "fixed", size = 7 }
data = { type = "digits" }
architecture = { type = "linear", inputs = 64, outputs = 10 }
strategy = { type = "fedavg", local = { rate = 0.1, batch = 8, epochs = 1 } }
"""


def scenario(text: str = "", plain: str = PLAIN) -> Scenario:
    """The plain scenario; lines of `text` replace those of the same field."""
    fields = {line.partition(" =")[0]: line for line in plain.strip().splitlines()}
    fields |= {line.partition(" =")[0]: line for line in text.strip().splitlines() if line}
    return parse("\n".join(line for line in fields.values() if not line.endswith("= -")), Scenario, "the test")


SYNTHETIC = """
data = { type = "synthetic", features = 64, rows = 15, spread = 0.5 }
clients = 1000000
"""


@pytest.mark.parametrize(
    "text",
    [
        "",
        'partition = { type = "dirichlet", alpha = 0.3, least = 3 }',
        'partition = { type = "quantity", spread = 1.0 }\nclip = 0.5\nbits = 32',
        'partition = { type = "shards" }\ncompression = { type = "top-k", keep = 16, chunk = 64 }',
        'partition = { type = "iid", rows = 12 }\nclients = 1000000',
        'rule = { type = "multi-krum", f = 2 }\nattack = { kind = { type = "sign-flip" }, share = 0.2 }',
        'cohort = { type = "poisson", rate = 0.3 }\nexecutor = "sequential"',
        SYNTHETIC,
    ],
)
def test_scenarios_run_and_repeat(text: str) -> None:
    first, again = (simulate(scenario(text + '\nexecutor = "vectorised"' if "executor" not in text else text)) for _ in range(2))
    assert first.round == 3 and first.state == again.state and first.results.test is not None


def test_files_in_the_examples_are_scenarios() -> None:
    found = sorted((ROOT / "examples" / "simulate").glob("*.toml"))
    assert found and all(load_scenario(path).rounds for path in found)


def test_a_run_goes_on_in_its_folder(tmp_path: Path) -> None:
    whole = simulate(scenario("rounds = 4"))
    simulate(scenario("rounds = 2"), tmp_path)
    told: list[object] = []
    rest = simulate(scenario("rounds = 4"), tmp_path, told.append)
    assert len(told) == 2 and rest.round == 4
    # How it was timed may differ, what was chosen is kept.
    assert len({record.executor for record in rest.records}) == 1
    assert np.abs(rest.state.vector - whole.state.vector).max() < 1e-4
    with pytest.raises(ConfigError, match="another scenario"):
        scenario("seed = 9").open(tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('cohort = { type = "fixed", size = 21 }', "cohort of 21 cannot be drawn from a population of 20"),
        ('cohort = { type = "fixed", size = 0 }', "at least 1"),
        ('strategy = { type = "fedsgd", local = { rate = 0.1, batch = 8, epochs = 1 } }', "fedsgd"),
        ('strategy = { type = "fedavg", local = { rate = -0.1, batch = 8, epochs = 1 } }', "learning rate"),
        ('rule = { type = "krum", f = 4 }', "krum with f=4 needs at least 11 rows|at least 11 rows"),
        ('rule = { type = "crumb" }', "crumb"),
        ("clients = 2000", "cannot be dealt to 2000 clients"),
        ("clients = 0", "say how many clients"),
        ('partition = { type = "owners" }', "name no owner"),
        ('architecture = { type = "linear", inputs = 65, outputs = 10 }', "64 values, but the architecture takes 65"),
        ('architecture = { type = "linear", inputs = 64, outputs = 9 }', "classes 0 to 8"),
        ('objective = "binary cross-entropy"', "1 output"),
        ('attack = { kind = { type = "sign-flip" }, share = 1.0 }', "cannot attack"),
        ('attack = { kind = { type = "bribe" }, share = 0.1 }', "bribe"),
        ('topology = "ring"', "topology"),
        ('executor = "cloud"', "executor"),
        ('device = "tpu"', "not one of cpu"),
        ("rounds = 0", "rounds"),
        ("every = -1", "every -1 rounds"),
        ("ronds = 4", "ronds"),
        ("rounds = -", "missing required field `rounds`"),
        ('data = { type = "digits", side = 7 }', "8 to 64 pixels"),
        (
            'data = { type = "csv", path = "nowhere.csv", columns = { features = [{ type = "numeric", name = "a" }], label = "b" } }',
            "nowhere",
        ),
        (SYNTHETIC + 'partition = { type = "iid" }', "leave out the partition"),
    ],
)
def test_mistakes_are_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(HansaError, match=sentence) as caught:
        next(scenario(text).open().run(1))
    assert "\n" not in str(caught.value)


def test_bundled_tables_are_what_they_say() -> None:
    digits = Digits(28).open(1)
    assert digits.training.features.shape == (1437, 784) and len(digits.test) == 360
    assert 0 <= digits.training.features.min() and digits.training.features.max() <= 1
    small = Digits().open(1)
    assert np.array_equal(small.training.labels, digits.training.labels)
    # The middle of an enlarged image keeps its mass.
    assert np.corrcoef(small.training.features.mean(1), digits.training.features.mean(1))[0, 1] > 0.99
    biopsies = BreastCancer().open(1)
    assert biopsies.training.features.shape == (455, 30) and abs(float(biopsies.training.features.mean())) < 1e-3


def test_a_csv_with_owners(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("who,a,b\n" + "".join(f"{'xyz'[n % 3]},{n / 7},{n % 2}\n" for n in range(60)))
    shape = 'columns = { features = [{ type = "numeric", name = "a" }], label = "b", classes = { 0 = 0, 1 = 1 } }'
    text = f'data = {{ type = "csv", path = "{path}", owner = "who", {shape} }}'
    table = parse(PLAIN.replace('data = { type = "digits" }', text), Scenario, "the test").data
    assert isinstance(table, Csv)
    found = table.open(3)
    assert (len(found.training), len(found.test)) == (48, 12) and found.owners is not None and set(found.owners) == {0, 1, 2}
    one = 'architecture = { type = "linear", inputs = 1, outputs = 2 }\nclients = 0\ncohort = { type = "fixed", size = 3 }'
    run = simulate(scenario(f"{text}\n{one}"))
    assert run.shop.population.clients == 3
    with pytest.raises(HansaError, match="no column 'whom'"):
        next(scenario(text.replace('owner = "who"', 'owner = "whom"') + "\n" + one).open().run(1))


def test_data_that_are_not_part_of_the_package(monkeypatch: pytest.MonkeyPatch, shared: Path) -> None:
    monkeypatch.delenv("HANSA_SHARED", raising=False)
    with pytest.raises(ConfigError, match="set HANSA_SHARED"):
        Mnist().open(0)
    monkeypatch.setenv("HANSA_SHARED", str(shared))
    if not (shared / "data" / "heart_disease").is_dir() or not (shared / "data" / "mnist").is_dir():
        pytest.skip("data sets heart_disease and mnist not present (shared/data)")
    heart = HeartDisease().open(0)
    assert heart.owners is not None and np.bincount(heart.owners).tolist() == [199, 172, 30, 85] and len(heart.test) == 254
    assert len(Mnist(100).open(0).training) == 100
