"""The pages keep to what exists: commands and options are real, links lead somewhere, scripts run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hansa.core.config import parse
from hansa.learning.schema import Schema
from tests.cli.conftest import Hansa, Town, copy_home
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_LINK = re.compile(r"\]\(([^)#]+)\)")


def blocks(language: str) -> list[tuple[str, str]]:
    found = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(page.name, text) for page in PAGES for text in found.findall(page.read_text())]


def commands() -> list[list[str]]:
    """The words of every `hansa` command shown."""
    found = []
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        for line in re.findall(r"^ {4}\$ (hansa .*)$", text, re.MULTILINE) + re.findall(r"`(hansa [^`]+)`", text):
            found.append(shlex.split(line, comments=True)[1:])
    return found


def test_every_command_and_option_exists(hansa: Hansa) -> None:
    shown = commands()
    assert len(shown) > 20
    helps: dict[tuple[str, ...], str] = {}
    for words in shown:
        noun = tuple(words[:2]) if words[0] in ("node", "job", "model") else tuple(words[:1])
        if noun not in helps:
            said = hansa(*noun, "--help")
            assert said.code == 0, words
            helps[noun] = said.out
        for option in [word for word in words if word.startswith("--")]:
            assert option in helps[noun], words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize(("page", "text"), blocks("toml"), ids=[name for name, _ in blocks("toml")])
def test_schemas_shown_are_schemas(page: str, text: str) -> None:
    assert tomllib.loads(text) and parse(text, Schema, page).label


@pytest.mark.parametrize(("page", "text"), blocks("python"), ids=[name for name, _ in blocks("python")])
def test_scripts_run(town: Town, tmp_path: Path, page: str, text: str) -> None:
    home = copy_home(town, tmp_path / "copy")
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text], capture_output=True, text=True, timeout=120,
        env={**kept, "HANSA_HOME": str(home), "ENDPOINT": town.url},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout
