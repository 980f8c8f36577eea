"""The robustness harness on a problem of seconds: every cell once, taken up where it stopped, and read honestly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from hansa.core.config import load
from hansa.core.errors import ConfigError
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategy import LocalTraining
from hansa.model.architectures import Linear, Objective
from hansa.simulation.attacks import NotANumber, SignFlip, Unbounded
from hansa.simulation.draw import Fixed
from hansa.simulation.harness import CLIPPED, MEAN, Cell, Study, cells, defences, lines, read, run, run_cell
from hansa.simulation.robustness import page, verdict
from hansa.simulation.scenario import Scenario
from hansa.simulation.sources import BreastCancer

SCENARIO = Scenario(
    data=BreastCancer(), clients=7, cohort=Fixed(7), rounds=3, architecture=Linear(30), objective=Objective.BINARY,
    strategy=FedAvg(LocalTraining(rate=0.1, batch=16, epochs=1)), executor="sequential",
)  # fmt: skip
STUDY = Study(title="biopsies", scenario=SCENARIO, cases=((1.0, 1),), attacks=(SignFlip(5.0), Unbounded(), NotANumber()), norm=0.5)


def test_rules_that_do_not_fit_are_not_among_the_defences() -> None:
    assert {MEAN, CLIPPED, "median", "bulyan"} <= defences(STUDY, 1).keys()
    assert "bulyan" not in defences(STUDY, 2) and "nnm + trimmed mean" in defences(STUDY, 2)


def test_one_cell_is_one_training_under_attack() -> None:
    quiet = run_cell(STUDY, Cell(1.0, 1, MEAN, -1, 0))
    assert quiet == run_cell(STUDY, Cell(1.0, 1, MEAN, -1, 0)) > 0.85
    assert run_cell(STUDY, Cell(1.0, 1, "median", 1, 0)) > run_cell(STUDY, Cell(1.0, 1, MEAN, 1, 0)) + 0.2
    # A row that is no number is refused at the door, even without a rule.
    assert run_cell(STUDY, Cell(1.0, 1, MEAN, 2, 0)) > 0.85


@pytest.mark.slow
def test_an_interrupted_study_goes_on_and_its_page_says_what_holds(tmp_path: Path) -> None:
    kept, told = tmp_path / "results.jsonl", list[tuple[int, int]]()
    everything = list(cells(STUDY))
    found = run(STUDY, kept, 2, lambda done, of: told.append((done, of)))
    assert set(found) == set(everything) and told[-1] == (len(everything), len(everything))
    whole = kept.read_text().splitlines()
    kept.write_text("\n".join(whole[:-3]) + "\n")
    told.clear()
    assert run(STUDY, kept, 1, lambda done, of: told.append((done, of))) == found and len(told) == 3
    assert read(replace(STUDY, norm=0.6), kept) == {}, "another study's results are not taken for this one's"
    table = lines(STUDY, found, 1.0, 1)
    assert [line.means[line.worst] for line in table] == sorted((line.means[line.worst] for line in table), reverse=True)
    text = page("Robustness", "How to read it.", [(STUDY, found)])
    assert "### Label skew 1, 1 of 7 attack" in text and verdict(STUDY, table) in text and "plain mean" in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seeds": 4}, "at least 5"),
        ({"cases": ((1.0, 4),)}, "half of its 7 clients"),
        ({"cases": ()}, "half of its 7 clients"),
        ({"attacks": ()}, "names attacks"),
        ({"scenario": replace(SCENARIO, rule=defences(STUDY, 1)["median"])}, "leave its rule and attack out"),
    ],
)
def test_studies_that_would_say_little_are_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        replace(STUDY, **change)


@pytest.mark.parametrize("name", ["mnist", "heart"])
def test_the_published_studies_can_be_read(name: str) -> None:
    study = load(Path(__file__).parents[2] / "examples" / "robustness" / f"{name}.toml", Study)
    assert len(study.attacks) == 13 and (0.5, 4) in study.cases
