"""A job as it goes: one line per thing that happened, and a bar of final rounds where somebody watches."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hansa.cli import show

if TYPE_CHECKING:
    from hansa.rounds.job import JobState
    from hansa.sdk import Client


async def follow(client: Client, number: int, *, json: bool, started: bool = False) -> None:
    """Print a job's changes until it is closed, or with `started` until its seats are taken or it is cancelled."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from hansa.rounds.job import Phase

    console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console, transient=True,
        disable=json or not sys.stdout.isatty(),
    )  # fmt: skip
    last: JobState | None = None
    with bar:
        task = bar.add_task("", total=client.job(number).terms.rounds)
        async for job in client.watch(number):
            bar.update(task, completed=len(job.final), description=describe(client, job))
            if json:
                show.as_json({"job": job.id, "state": str(job.phase), "round": job.round, "final": len(job.final), "closed": job.closed})
            elif last is None or describe(client, job) != describe(client, last):
                bar.console.print(describe(client, job))
            if not json and last is not None:
                for place in range(len(last.final), len(job.final)):
                    bar.console.print(await measured(client, job, place + 1))
            last = job
            if started and job.phase is not Phase.ENROLLING:
                return


def describe(client: Client, job: JobState) -> str:
    """Where a job stands, in one line."""
    from hansa.rounds.job import Phase

    match job.phase:
        case Phase.ENROLLING:
            taken = f"{len(job.trainers)} trainers, {len(job.coordinators)} coordinators, {len(job.candidates)} verifiers"
            return f"job {job.id} enrols: {taken}"
        case Phase.CLOSED:
            why = {1: "finished", 2: "expired", 3: "cancelled"}.get(job.closed, "closed")
            return f"job {job.id} is {why} after {len(job.final)} of {job.terms.rounds} rounds"
        case Phase.DONE:
            return f"job {job.id}: all rounds are final, {len(job.settled)} of {job.terms.milestones} milestones paid"
        case _:
            attempt = f", attempt {job.attempt + 1}" if job.attempt else ""
            return f"round {job.round}{attempt} is {job.phase} under {client.name(job.coordinator) if job.coordinator else 'nobody'}"


async def measured(client: Client, job: JobState, round: int) -> str:
    """A final round with the model's loss and accuracy on the job's public rows."""
    from hansa.core.errors import HansaError

    final = job.final[round - 1]
    line = f"round {round} is final: {final.anchor.accepted} updates, model {final.anchor.model.hex()[:16]}"
    try:
        found = await client.measure(job.id, round)
    except HansaError as error:
        return f"{line}, not measured ({error})"
    return f"{line}, loss {found.loss:.4f}" + (f", accuracy {found.accuracy:.3f}" if found.accuracy is not None else "")
