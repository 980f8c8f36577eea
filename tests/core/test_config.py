"""Configuration: what is written is read back, and every mistake names file and field."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core import config
from hansa.core.errors import ConfigError


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    weight: float = 1.0


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: int = 5
    names: tuple[str, ...] = ()


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    on: bool = False
    limits: Limits = Limits()
    endpoints: tuple[Endpoint, ...] = ()
    labels: dict[str, int] = {}
    digest: bytes = b""
    note: str | None = None


class Loose(msgspec.Struct, frozen=True):
    name: str = ""


FULL = Shape(
    "n", True, Limits(7, ("a", 'b"\\')), (Endpoint("http://x", 0.5), Endpoint("y")), {"odd key.": 1, "plain": -2}, b"\x00\xff", "text"
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "node.toml"
    config.save(path, FULL)
    assert config.load(path, Shape) == FULL
    assert [entry.name for entry in path.parent.iterdir()] == ["node.toml"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_defaults_stand_for_what_is_not_written() -> None:
    assert config.parse('name = "n"', Shape, "here") == Shape("n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "^here: missing required field `name`$"),
        ('name = "n"\ncolour = 1', "^here: there is an unknown field `colour`$"),
        ('name = "n"\n[limits]\nsise = 1', "^here: in limits: there is an unknown field `sise`$"),
        ('name = "n"\n[limits]\nsize = "big"', "^here: in limits.size: Expected `int`, got `str`$"),
        ('name = "n"\n[[endpoints]]\nurl = 3', r"^here: in endpoints\[0\]\.url: Expected `str`, got `int`$"),
        ("name = 3", "^here: in name: Expected `str`, got `int`$"),
        ("name = ", "^here is not valid TOML: "),
        ("[a]\n[a]", "^here is not valid TOML: "),
    ],
)
def test_mistakes_name_the_field(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        config.parse(text, Shape, "here")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no configuration at .*/node\.toml; create it"):
        config.load(tmp_path / "node.toml", Shape)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        config.load(tmp_path / "node.toml", Shape)


def test_a_shape_that_would_swallow_misspelt_options_is_refused() -> None:
    with pytest.raises(TypeError, match="misspelt"):
        config.parse("", Loose, "here")


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "node.toml"
    config.save(path, Shape("old"))

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        config.save(path, Shape("new"))
    assert config.load(path, Shape) == Shape("old")
    assert [entry.name for entry in tmp_path.iterdir()] == ["node.toml"]


def test_home_is_the_variable_or_the_platforms_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HANSA_HOME", str(tmp_path))
    assert config.home() == tmp_path
    monkeypatch.delenv("HANSA_HOME")
    assert config.home().name == "hansa"


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
number = st.floats(allow_nan=False)


class Any(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: dict[str, str]
    numbers: tuple[float, ...]
    counts: dict[str, int]
    endpoints: tuple[Endpoint, ...]
    nested: dict[str, dict[str, bool]]
    data: bytes


@given(
    st.builds(
        Any,
        words=st.dictionaries(text, text, max_size=4),
        numbers=st.lists(number, max_size=4).map(tuple),
        counts=st.dictionaries(text, st.integers(-(2**63), 2**63 - 1), max_size=4),
        endpoints=st.lists(st.builds(Endpoint, url=text, weight=number), max_size=3).map(tuple),
        nested=st.dictionaries(text, st.dictionaries(text, st.booleans(), max_size=3), max_size=3),
        data=st.binary(max_size=20),
    )
)
def test_any_value_survives_the_file(value: Any) -> None:
    written = config.dump(value)
    assert tomllib.loads(written)
    assert config.parse(written, Any, "here") == value
