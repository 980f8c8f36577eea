"""`hansa node`: make, run, register and look at one node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hansa.cli import show

app = typer.Typer(help="Make, run, register and look at one node.", no_args_is_help=True)


@app.command()
def run(config: Annotated[Path, typer.Option("--config", help="The node's configuration file.")]) -> None:
    """Run a node until it is told to stop; prints `ready URL` once it serves."""
    import sys

    from hansa.core.clock import SystemClock
    from hansa.node.compose import run_node
    from hansa.node.config import load_node
    from hansa.runtime.logs import set_up

    loaded = load_node(config)
    set_up(SystemClock(), sys.stderr, node=loaded.name, role=loaded.role)
    show.run(run_node(config))
