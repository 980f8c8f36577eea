"""Results on the terminal: a table for people or JSON for programs, from the same values."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """The command's asynchronous part, on the fast event loop where there is one."""
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)


def as_json(value: object) -> None:
    """One line of JSON: digests in hexadecimal, amounts as text, because JSON's numbers end at 2^53."""
    print(msgspec.json.encode(_plain(msgspec.to_builtins(value, builtin_types=(bytes,), enc_hook=str))).decode(), flush=True)


def _plain(value: object) -> object:
    match value:
        case bytes():
            return value.hex()
        case bool():
            return value
        case int() if abs(value) >= 1 << 53:
            return str(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """Rows under headings; numbers to the right."""
    from rich.console import Console
    from rich.table import Table

    page = Table(title=title or None, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=any(columns))
    for place, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[place], (int, float)) for row in rows)
        page.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        page.add_row(*(str(cell) for cell in row))
    # Not narrower than its content where nobody watches: cut cells would be lost to whoever reads the file.
    Console(width=None if sys.stdout.isatty() else 400, soft_wrap=True).print(page)


def tokens(amount: int) -> str:
    """An amount in tokens, at most six digits after the point."""
    whole, rest = divmod(amount, 10**18)
    return f"{whole:,}" + (f".{rest:018d}"[:7].rstrip("0").rstrip(".") if rest else "")
