"""`hansa model`: list, show, publish and save models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hansa.cli import show
from hansa.cli.options import As, Home, Json, node_folder

app = typer.Typer(help="List, show, publish and save models.", no_args_is_help=True)


@app.command()
def publish(
    job: Annotated[int, typer.Argument(help="The finished job whose model is published.")],
    home: Home,
    title: Annotated[str, typer.Option(help="What the registry calls the model.")],
    as_: As = "client",
    json: Json = False,
) -> None:
    """Enter a finished job's model into the registry; it is approved at once when the job's verifiers accepted it."""
    show.run(_publish(job, home, title, as_, json))


async def _publish(job: int, home: Path, title: str, name: str, json: bool) -> None:
    from hansa.node.home import CONFIG
    from hansa.sdk import open_client

    async with open_client(node_folder(home, name) / CONFIG) as client:
        number = await client.publish(job, title)
        record = await client.model(number)
    if json:
        show.as_json(record)
    else:
        print(f"model {number} '{record.title}': " + ", ".join(f"version {each.artifact} is {each.status}" for each in record.versions))


@app.command()
def save(
    job: Annotated[int, typer.Argument(help="The finished job whose model is saved.")],
    file: Annotated[Path, typer.Argument(help="The file to write, in safetensors form; none may be there yet.")],
    home: Home,
    as_: As = "client",
    json: Json = False,
) -> None:
    """Write a finished job's model to a file. An adapter is merged into the model that it was trained for."""
    show.run(_save(job, file, home, as_, json))


async def _save(job: int, file: Path, home: Path, name: str, json: bool) -> None:
    from hansa.core.errors import ConfigError
    from hansa.model import codec
    from hansa.node.home import CONFIG
    from hansa.sdk import open_client

    async with open_client(node_folder(home, name) / CONFIG) as client:
        data = codec.encode(await client.take(job))
    try:
        with file.open("xb") as opened:
            opened.write(data)
    except FileExistsError:
        raise ConfigError(f"{file} is there already; name another file, or move that one away") from None
    if json:
        show.as_json({"job": job, "file": str(file), "bytes": len(data)})
    else:
        print(f"the model of job {job} is in {file} ({len(data)} bytes)")


@app.command("list")
def list_(home: Home, as_: As = "client", json: Json = False) -> None:
    """Every model in the registry."""
    show.run(_look(home, as_, None, json))


@app.command("show")
def show_(number: Annotated[int, typer.Argument(help="The model's number.")], home: Home, as_: As = "client", json: Json = False) -> None:
    """One model with its versions and where each comes from."""
    show.run(_look(home, as_, number, json))


async def _look(home: Path, name: str, number: int | None, json: bool) -> None:
    from hansa.node.config import load_node
    from hansa.node.home import CONFIG
    from hansa.sdk import open_network

    folder = node_folder(home, name)
    chain = load_node(folder / CONFIG).chain
    async with open_network(chain.endpoints, folder / chain.deployment) as network:
        found = [await network.model(number)] if number is not None else await network.models()
    if json:
        show.as_json(found if number is None else found[0])
        return
    rows = [(each.number, each.title, each.owner, version.artifact, version.status) for each in found for version in each.versions]
    if rows:
        show.table(("model", "title", "owner", "version", "status"), rows)
    else:
        print("the registry is empty; `hansa model publish JOB` enters a finished job's model")
