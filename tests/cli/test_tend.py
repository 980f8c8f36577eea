"""`hansa job tend` and `hansa robustness`: every mistake is one sentence, before anything is spent or trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from hansa.core.config import dump, save
from hansa.market.standing import StandingOrder
from tests.cli.conftest import Hansa, Town, an_order, copy_home
from tests.conftest import ROOT


@pytest.fixture
def standing(table: Path) -> StandingOrder:
    return StandingOrder(an_order(str(table)), budget="100", period=3_600, rows=10)


def test_a_look_posts_what_there_is_no_version_of(hansa: Hansa, town: Town, standing: StandingOrder, tmp_path: Path) -> None:
    home, path = copy_home(town, tmp_path / "copy"), tmp_path / "standing.toml"
    save(path, standing)
    said = hansa("job", "tend", path, "--once", home=home)
    assert said.code == 0 and "is posted, from a new model" in said.out, said
    again = hansa("job", "tend", path, "--once", home=home)
    assert again.code == 0 and "is under way: 0 of 2 rounds are final" in again.out, again


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rows = 10", "rows = 0", "names what it waits for"),
        ('budget = "100"', 'budget = "10"', "above the 10 tokens of a whole period"),
        ("period = 3600", "period = 0", "at least a second"),
        ("period = 3600", "perod = 3600", "perod"),
    ],
)
def test_a_mistake_in_a_standing_order_is_one_sentence(
    hansa: Hansa, town: Town, standing: StandingOrder, tmp_path: Path, old: str, new: str, words: str
) -> None:
    path, text = tmp_path / "standing.toml", dump(standing)
    assert old in text
    path.write_text(text.replace(old, new, 1))
    hansa("job", "tend", path, "--once", home=copy_home(town, tmp_path / "copy")).sentence(2, words)


def test_a_table_that_does_not_fit_is_found_before_anything_is_spent(
    hansa: Hansa, town: Town, standing: StandingOrder, tmp_path: Path
) -> None:
    path, held = tmp_path / "standing.toml", tmp_path / "held.csv"
    held.write_text("age,ill\n40,yes\n")
    save(path, replace(standing, order=an_order(str(held))))
    hansa("job", "tend", path, "--once", home=copy_home(town, tmp_path / "copy")).sentence(3, "has no column 'marker'")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seeds = 5", "seeds = 3", "give at least 5"),
        ("[0.5, 4]", "[0.5, 10]", "less than half of its 20 clients"),
        ('type = "alie"', 'type = "alien"', "alien"),
    ],
)
def test_a_mistake_in_a_study_is_one_sentence(hansa: Hansa, tmp_path: Path, old: str, new: str, words: str) -> None:
    text = (ROOT / "examples" / "robustness" / "heart.toml").read_text()
    assert old in text
    path = tmp_path / "study.toml"
    path.write_text(text.replace(old, new, 1))
    hansa("robustness", path, "--report", tmp_path / "page.md", "--keep", tmp_path / "kept.jsonl").sentence(2, words)


def test_data_that_are_not_there_are_one_sentence(hansa: Hansa, tmp_path: Path) -> None:
    study = ROOT / "examples" / "robustness" / "heart.toml"
    words = ("robustness", study, "--report", tmp_path / "page.md", "--keep", tmp_path / "kept.jsonl", "--workers", 1)
    hansa(*words, HANSA_SHARED=str(tmp_path)).sentence(2, "set HANSA_SHARED")
