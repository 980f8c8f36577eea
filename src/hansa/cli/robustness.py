"""`hansa robustness`: every rule under every attack, as a page."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hansa.cli import show
from hansa.cli.options import Json

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

TITLE = "Robustness"
INTRO = """What a robust rule is worth depends on who attacks, how many, and how unlike the sites are. These tables are made by

    hansa robustness examples/robustness/mnist.toml examples/robustness/heart.toml --report docs/robustness.md

Every run is a whole training on the network's own integer arithmetic. Attackers know every honest update of the round before they send
theirs, which is more than they could know in a real network. Rules see single updates: under secure aggregation they would see sums of
groups only. Training rounds differently on different processors, so that single figures differ in their last digit from machine to machine.

How to read it: a rule is as good as its worst attack. Weak attacks on sites that are much alike show nothing, so look at skew 0.5 first. A
rule that loses to *clip + mean* in its worst case is not worth its price there. No rule helps against half of the sites or more, against a
backdoor (the tables show accuracy on clean rows, which a good backdoor leaves alone), or against copies, which are somebody else's honest
work: those are for gates, stakes and scoring."""


def robustness(
    studies: Annotated[list[Path], typer.Argument(metavar="STUDY...", help="TOML files; examples/robustness holds some.")],
    report: Annotated[Path, typer.Option(metavar="FILE", help="The page to write, with its picture beside it.")] = Path("robustness.md"),
    keep: Annotated[
        Path, typer.Option(metavar="FILE", help="Results so far, as JSON lines; an interrupted study goes on from them.")
    ] = Path("robustness.jsonl"),
    workers: Annotated[int, typer.Option(help="Processes at work.", min=1)] = 2,
    device: Annotated[str, typer.Option(help="Where training runs, instead of the studies' own.")] = "",
    picture: Annotated[bool, typer.Option(help="Draw the picture too; needs matplotlib (the extra `plots`).")] = True,
    json: Json = False,
) -> None:
    """Train under every attack with every rule, over label skews, numbers of attackers and seeds, and write what held and what did not.

    With --json the worst case of each rule is one object a line.
    """
    from msgspec.structs import replace
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from hansa.core.config import load
    from hansa.simulation import robustness as pages
    from hansa.simulation.harness import Study, lines, run

    loaded = [load(path, Study) for path in studies]
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True,
        console=Console(file=sys.stderr), disable=json or not sys.stderr.isatty(),
    )  # fmt: skip
    found = []
    with bar:
        for study in loaded:
            task = bar.add_task(study.title, total=None)
            placed = replace(study, scenario=replace(study.scenario, device=device)) if device else study
            found.append((study, run(placed, keep, workers, partial(_shown, bar, task))))
    drawn = report.with_suffix(".svg")
    if picture:
        pages.picture(found, drawn)
    report.write_text(pages.page(TITLE, INTRO, found, drawn.name if picture else ""))
    for study, results in found:
        for skew, f in study.cases:
            table = lines(study, results, skew, f)
            if not json:
                print(f"{study.title}, skew {skew:g}, {f} attack: {pages.verdict(study, table)}")
            for line in table if json else ():
                worst = pages.name_of(study.attacks[line.worst])
                said = {"study": study.title, "skew": skew, "attackers": f, "rule": line.defence}
                show.as_json({**said, "worst": line.means[line.worst], "by": worst})


def _shown(bar: Progress, task: TaskID, done: int, of: int) -> None:
    bar.update(task, completed=done, total=of)
