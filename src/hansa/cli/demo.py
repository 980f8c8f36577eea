"""`hansa demo`: a whole network at work, told as it happens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hansa.cli import show
from hansa.cli.options import Json


def demo(
    scene: Annotated[str | None, typer.Option(help="Run this scene alone.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Folder to leave everything in afterwards; else nothing stays.")] = None,
    json: Json = False,
) -> None:
    """Four hospitals train one model on a real chain between real processes; one dies and returns, a coordinator lies and pays.

    Exits with 1 when any check of the run does not hold.
    """
    from hansa.simulation.demo import run_demo

    result = show.run(run_demo(scene, home=keep, quiet=json))
    if json:
        show.as_json(result)
    if not result.ok:
        raise typer.Exit(1)
