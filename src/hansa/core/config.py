"""Configuration: TOML files as frozen structs; every mistake is one sentence that names the file and the field."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
import platformdirs

from hansa.core.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WHERE = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")


def home() -> Path:
    """The folder of all state: `HANSA_HOME`, else the platform's place for user data."""
    return Path(os.environ.get("HANSA_HOME") or platformdirs.user_data_path("hansa", appauthor=False))


def load(path: Path, shape: type[T]) -> T:
    """The file as `shape`; ConfigError when it is missing, no TOML, or a field is unknown, missing or of the wrong kind."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration at {path}; create it or name another") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); check its rights and that it is UTF-8 text") from error
    return parse(text, shape, str(path))


def parse(text: str, shape: type[T], where: str) -> T:
    """TOML text as `shape`, a struct that forbids unknown fields; `where` names the text in errors."""
    if not shape.__struct_config__.forbid_unknown_fields:
        raise TypeError(f"{shape.__name__} must forbid unknown fields, else a misspelt option would be ignored")
    try:
        return msgspec.convert(tomllib.loads(text), shape)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_in_words(str(error))}") from error


def _in_words(message: str) -> str:
    found = _WHERE.search(message)
    field = found[1] if found else ""
    sentence = _WHERE.sub("", message).replace("Object contains", "there is an").replace("Object missing required", "missing required")
    return f"in {field}: {sentence}" if field else sentence


def save(path: Path, value: msgspec.Struct) -> None:
    """Write the struct as TOML, readable by its owner alone, all or nothing; None fields are left out. ConfigError when it cannot."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(dump(value))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written ({error.strerror}); make room or check its rights, the old one stands") from error


def dump(value: msgspec.Struct) -> str:
    """The struct as TOML: plain fields, nested structs as tables, lists of structs as arrays of tables, bytes as base64."""
    return "\n".join(_lines(msgspec.to_builtins(value), ())) + "\n"


def _lines(table: Mapping[str, object], name: tuple[str, ...]) -> Iterator[str]:
    nested: list[tuple[str, object]] = []
    for key, item in table.items():
        if isinstance(item, dict) or (isinstance(item, (list, tuple)) and item and all(isinstance(one, dict) for one in item)):
            nested.append((key, item))
        elif item is not None:
            yield f"{_key(key)} = {_value(item, (*name, key))}"
    for key, item in nested:
        path = (*name, key)
        dotted = ".".join(map(_key, path))
        for one in [item] if isinstance(item, dict) else item:  # type: ignore[attr-defined]
            yield ""
            yield f"[{dotted}]" if isinstance(item, dict) else f"[[{dotted}]]"
            yield from _lines(one, path)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    # A JSON string is a TOML basic string except for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(item: object, name: tuple[str, ...]) -> str:
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, (int, float)):
        return repr(item)
    if isinstance(item, str):
        return _string(item)
    if isinstance(item, (list, tuple)):
        return "[" + ", ".join(_value(one, name) for one in item) + "]"
    raise ConfigError(
        f"{'.'.join(name)} of kind {type(item).__name__} cannot be written as TOML; use text, numbers, booleans, lists or tables"
    )
