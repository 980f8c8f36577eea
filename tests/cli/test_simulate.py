"""`hansa simulate`: a table, JSON lines, a run that goes on, and one sentence for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Hansa
from tests.conftest import ROOT
from tests.simulation.test_scenario import PLAIN


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.toml"
    path.write_text(PLAIN)
    return path


def test_a_table_of_rounds(hansa: Hansa, file: Path) -> None:
    said = hansa("simulate", file)
    lines = said.out.splitlines()
    assert said.code == 0 and said.err == "", said
    assert lines[0].split()[:3] == ["round", "clients", "steps"] and [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    assert lines[-1].startswith("650 weights, 20 clients; ")


def test_a_round_is_a_json_object_a_line(hansa: Hansa, file: Path) -> None:
    said = hansa("simulate", file, "--json", "--rounds", 5)
    records = [json.loads(line) for line in said.out.splitlines()]
    assert [record["round"] for record in records] == [1, 2, 3, 4, 5] and records[-1]["test"]["rows"] == 360


def test_a_run_is_kept_and_goes_on(hansa: Hansa, file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "run"
    assert hansa("simulate", file, "--resume", kept, "--rounds", 2).code == 0
    said = hansa("simulate", file, "--resume", kept, "--json")
    assert [json.loads(line)["round"] for line in said.out.splitlines()] == [3]
    assert len((kept / "records.jsonl").read_text().splitlines()) == 3
    assert "3 rounds already" in hansa("simulate", file, "--resume", kept).out
    file.write_text(PLAIN.replace("size = 7", "size = 6"))
    hansa("simulate", file, "--resume", kept).sentence(2, "another scenario")


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("size = 7", "size = 70", 2, "population of 20"),
        ("clients = 20", 'clients = 20\nrule = { type = "krum", f = 4 }', 6, "rows"),
        ("rate = 0.1", "rate = 0", 4, "learning rate"),
    ],
)
def test_mistakes_are_one_sentence_and_a_code(hansa: Hansa, file: Path, old: str, new: str, code: int, words: str) -> None:
    file.write_text(PLAIN.replace(old, new))
    hansa("simulate", file).sentence(code, words)


def test_a_file_that_is_not_there(hansa: Hansa, tmp_path: Path) -> None:
    hansa("simulate", tmp_path / "none.toml").sentence(2, "there is no configuration")


@pytest.mark.slow
def test_examples_run(hansa: Hansa) -> None:
    for path in sorted((ROOT / "examples" / "simulate").glob("*.toml")):
        assert hansa("simulate", path, "--rounds", 2, HANSA_SHARED="").code == 0, path
