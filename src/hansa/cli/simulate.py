"""`hansa simulate`: a scenario of many clients on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hansa.cli import show
from hansa.cli.options import Json

if TYPE_CHECKING:
    from hansa.simulation.records import Record


def simulate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The scenario, a TOML file; examples/simulate holds some.")],
    rounds: Annotated[int | None, typer.Option(help="So many rounds in all, instead of the file's.", min=1)] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep the run here after every round; one begun here goes on.")
    ] = None,
    json: Json = False,
) -> None:
    """Train a model with any number of simulated clients, on the same arithmetic as the network; a round is a line of the table.

    With --json each round is one object a line. What a run depends on is all in the file; the same file gives the same model.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from hansa.simulation.scenario import load_scenario

    scenario = load_scenario(file)
    total = rounds or scenario.rounds
    simulation = scenario.open(resume)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True,
        console=Console(file=sys.stderr), disable=json or not sys.stderr.isatty(),
    )  # fmt: skip
    begun = simulation.round
    try:
        with bar:
            task = bar.add_task("", total=total, completed=begun)
            for record in simulation.run(total):
                bar.update(task, completed=record.round, description=_line(record))
                if json:
                    show.as_json(record)
        results = simulation.results
    finally:
        simulation.close()
    if json:
        return
    if begun >= total:
        print(f"the run in {resume} has {begun} rounds already; ask for more with --rounds")
        return
    shown = _thinned([record for record in results.records if record.round > begun])
    columns = ("round", "clients", "steps", "loss", "test loss", "accuracy", "left out", "s", "cpu s")
    show.table(columns, [_row(record) for record in shown])
    work = simulation.shop.work
    print(f"\n{work.layout.size} weights, {simulation.shop.population.clients} clients; {results.records[-1].executor}: {results.choice}")


def _line(record: Record) -> str:
    test = record.test
    measured = "" if test is None else f", test loss {test.loss:.4f}" + ("" if test.accuracy is None else f", accuracy {test.accuracy:.3f}")
    return f"round {record.round}: {record.clients} clients" + ("" if record.loss is None else f", loss {record.loss:.4f}") + measured


def _row(record: Record) -> tuple[object, ...]:
    test = record.test
    return (
        record.round, record.clients, record.steps, _number(record.loss, 4), _number(None if test is None else test.loss, 4),
        _number(None if test is None else test.accuracy, 3), len(record.left_out), f"{record.seconds:.3f}", f"{record.cpu:.3f}",
    )  # fmt: skip


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _thinned(records: list[Record]) -> list[Record]:
    """At most about 25 rounds, those with test rows' results before others, and always the last."""
    last, records = records[-1], [record for record in records if record.test is not None] or records
    step = -(-len(records) // 24)
    return [record for place, record in enumerate(records) if place % step == 0 and record is not last] + [last]
