"""`hansa job`: post a job, list, show and watch jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hansa.cli import show
from hansa.cli.options import As, Home, Json, node_folder
from hansa.cli.progress import follow

if TYPE_CHECKING:
    from hansa.rounds.job import JobState
    from hansa.sdk import Observer

app = typer.Typer(help="Post, list, show and watch training jobs.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(help="The job's number.")]


@app.command()
def post(
    order: Annotated[Path, typer.Argument(help="TOML file with what is learnt, on what terms, for how much.")],
    home: Home,
    as_: As = "client",
    wait: Annotated[bool, typer.Option(help="Stay until the job is closed; else until it has started.")] = False,
    again: Annotated[str, typer.Option(help="Any word: posts the same order once more, under this word.")] = "",
    json: Json = False,
) -> None:
    """Put an order on the market: its budget goes into escrow, and nodes that fit enrol.

    The same order is posted once, however often the command is repeated.
    """
    show.run(_post(order, home, as_, wait, again, json))


async def _post(path: Path, home: Path, name: str, wait: bool, again: str, json: bool) -> None:
    from hansa.core.config import load
    from hansa.market.order import Order
    from hansa.node.home import CONFIG
    from hansa.sdk import open_client

    order = load(path, Order)
    async with open_client(node_folder(home, name) / CONFIG) as client:
        number = await client.post(order, path.resolve().parent, again=again)
        if json:
            show.as_json({"job": number})
        else:
            print(f"the order is job {number}, with a budget of {order.budget} tokens", flush=True)
        await follow(client, number, json=json, started=not wait)


@app.command()
def tend(
    standing: Annotated[Path, typer.Argument(help="TOML file: an order, and when it is posted again for how much.")],
    home: Home,
    as_: As = "client",
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=1.0)] = 60.0,
    once: Annotated[bool, typer.Option(help="Look once and end.")] = False,
    json: Json = False,
) -> None:
    """Keep a model up to date: train a child on new rows or on measured drift, and replace its parent if the child is accepted.

    Spends at most the standing order's budget in any of its periods. It may be ended and started again at any time.
    """
    show.run(_tend(standing, home, as_, every, once, json))


async def _tend(path: Path, home: Path, name: str, every: float, once: bool, json: bool) -> None:
    import asyncio

    from hansa.core.config import load
    from hansa.market.standing import StandingOrder
    from hansa.node.home import CONFIG
    from hansa.sdk import Tender, open_client

    standing = load(path, StandingOrder)
    async with open_client(node_folder(home, name) / CONFIG) as client:
        tender, last = Tender(client, standing, path.resolve().parent), ""
        while True:
            found = await tender.look()
            if json:
                show.as_json({"found": found, "tended": tender.tended})
            elif found != last:
                print(found, flush=True)
            last = found
            if once:
                return
            await asyncio.sleep(every)


@app.command("list")
def list_(home: Home, as_: As = "client", json: Json = False) -> None:
    """Every job on the ledger."""
    show.run(_look(home, as_, lambda network: _print_all(network, json)))


@app.command("show")
def show_(number: Number, home: Home, as_: As = "client", json: Json = False) -> None:
    """One job: who takes part, what each round came to, what was paid."""
    show.run(_look(home, as_, lambda network: _print_one(network, number, json)))


@app.command()
def watch(number: Number, home: Home, as_: As = "client", json: Json = False) -> None:
    """Follow a job live until it is closed; for the client's own jobs this also opens the acceptance shards."""
    show.run(_watch(number, home, as_, json))


async def _watch(number: int, home: Path, name: str, json: bool) -> None:
    from hansa.node.home import CONFIG
    from hansa.sdk import open_client

    async with open_client(node_folder(home, name) / CONFIG) as client:
        await follow(client, number, json=json)


async def _look(home: Path, name: str, look: Look) -> None:
    from hansa.node.config import load_node
    from hansa.node.home import CONFIG
    from hansa.sdk import open_network

    folder = node_folder(home, name)
    chain = load_node(folder / CONFIG).chain
    async with open_network(chain.endpoints, folder / chain.deployment) as network:
        look(network)


def _print_all(network: Observer, json: bool) -> None:
    jobs = [_summary(network, job) for job in network.jobs.values()]
    if json:
        show.as_json(jobs)
    elif jobs:
        show.table(tuple(jobs[0]), [tuple(job.values()) for job in jobs])
    else:
        print("no job was posted yet; `hansa job post ORDER.toml` posts one")


def _summary(network: Observer, job: JobState) -> dict[str, object]:
    terms = job.terms
    return {
        "job": job.id,
        "state": str(job.phase),
        "rounds": f"{len(job.final)}/{terms.rounds}",
        "client": network.name(job.client),
        "pays": show.tokens(sum(job.nets)),
        "trainers": f"{len(job.present)}/{terms.max_trainers}",
        "verifiers": f"{len(job.verifiers or job.candidates)}/{terms.verifiers}",
        "coordinator": network.name(job.coordinator) if job.coordinator else "",
    }


def _print_one(network: Observer, number: int, json: bool) -> None:
    job = network.job(number)
    if json:
        show.as_json(job)
        return
    show.table(("", ""), list(_summary(network, job).items()))
    rows = [
        (place, network.name(final.coordinator), final.anchor.accepted, final.seats.bit_count(), final.anchor.model.hex())
        for place, final in enumerate(job.final, start=1)
    ]
    if rows:
        print()
        show.table(("round", "coordinator", "updates", "verdicts", "model"), rows)


if TYPE_CHECKING:
    from collections.abc import Callable

    Look = Callable[[Observer], None]
