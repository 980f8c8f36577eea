"""Options that mean the same in every command, and where they lead."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hansa.core import config

Home = Annotated[
    Path,
    typer.Option(
        "--home", envvar="HANSA_HOME", default_factory=config.home, show_default="the platform's data folder", help="Folder of all state."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
As = Annotated[str, typer.Option("--as", metavar="NODE", help="Which of the home's nodes acts; its key signs.")]


def node_folder(home: Path, name: str) -> Path:
    """Where a home keeps the node of that name."""
    return home / "nodes" / name
