"""`hansa node`: make, run, register and look at one node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hansa.cli import show
from hansa.cli.options import As, Home, Json, node_folder

if TYPE_CHECKING:
    from hansa.market.membership import Standing

app = typer.Typer(help="Make, run, register and look at one node.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The node's name, as the registry lists it.")]


@app.command()
def new(
    name: Name,
    home: Home,
    role: Annotated[str, typer.Option(help="trainer, coordinator, verifier or client.")],
    endpoint: Annotated[list[str], typer.Option(help="JSON-RPC address of the chain; give several in order of preference.")],
    deployment: Annotated[Path, typer.Option(help="The network's deployment file.")],
    port: Annotated[int, typer.Option(help="Port to listen on; peers reach the node there.", min=1, max=65535)],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    data: Annotated[Path | None, typer.Option(help="A trainer's CSV, Parquet, NPZ or text file.")] = None,
    schema: Annotated[Path | None, typer.Option(help="TOML file that declares the data's columns.")] = None,
    device: Annotated[str, typer.Option(help="Where it trains: cpu, cuda, rocm, xpu or mps.")] = "cpu",
    json: Json = False,
) -> None:
    """Make a node's home: account key, certificate, salt and configuration."""
    import time

    from hansa.core.config import load
    from hansa.core.errors import ConfigError
    from hansa.learning import data as table
    from hansa.learning.schema import Schema
    from hansa.node.config import ChainConfig, DataConfig, ListenConfig
    from hansa.node.home import CONFIG, make_home
    from hansa.node.registration import ROLES

    if role not in ROLES:
        raise ConfigError(f"there is no role '{role}'; choose one of {', '.join(ROLES)}")
    if not deployment.is_file():
        raise ConfigError(f"there is no deployment file at {deployment}; ask the network's founder for it")
    section = None
    if data is not None and schema is not None:
        columns = load(schema, Schema)
        table.read(data, columns)
        section = DataConfig(str(data.resolve()), columns)
    folder = node_folder(home, name)
    chain = ChainConfig(tuple(endpoint), str(deployment.resolve()))
    made = make_home(
        folder, name, next(each for each in ROLES if each == role), chain, time.time(), listen=ListenConfig(host, port), data=section,
        device=device,
    )  # fmt: skip
    if json:
        show.as_json({"name": made.name, "role": made.role, "config": str(folder / CONFIG)})
    else:
        print(f"{made.role} {made.name} is ready in {folder}; next: `hansa node register {name}`, then `hansa node run {name}`.")


@app.command()
def run(
    home: Home,
    name: Annotated[str, typer.Argument(help="One of the home's nodes.")] = "",
    config: Annotated[Path | None, typer.Option("--config", help="Its configuration file instead of its name.")] = None,
) -> None:
    """Run a node until it is told to stop; prints `ready URL` once it serves, and its log as JSON lines on stderr."""
    import sys

    from hansa.core.clock import SystemClock
    from hansa.core.errors import ConfigError
    from hansa.node.compose import run_node
    from hansa.node.config import load_node
    from hansa.node.home import CONFIG
    from hansa.runtime.logs import set_up

    if config is None and not name:
        raise ConfigError("name the node to run, or its configuration with --config")
    path = config or node_folder(home, name) / CONFIG
    loaded = load_node(path)
    set_up(SystemClock(), sys.stderr, node=loaded.name, role=loaded.role)
    show.run(run_node(path))


@app.command()
def register(
    name: Name,
    home: Home,
    stake: Annotated[str, typer.Option(help="Tokens to have staked in all.")] = "0",
    bonds: Annotated[str, typer.Option(help="Tokens that challenges of this node may bond.")] = "0",
    json: Json = False,
) -> None:
    """Stake, allow the cohort contract to lock it for jobs, and enter the node into the registry; what is there already stays."""
    from hansa.market.order import amount
    from hansa.node.registration import Premises

    _print(show.run(Premises(node_folder(home, name)).register(stake=amount(stake), bonds=amount(bonds))), json)


@app.command()
def status(name: Name, home: Home, json: Json = False) -> None:
    """What the ledger says of a node: registration, stake, balance, credits; and whether its address answers."""
    from hansa.node.registration import Premises

    premises = Premises(node_folder(home, name))
    reachable = _reachable(premises.config.listen.host, premises.config.listen.port)
    _print(show.run(premises.standing()), json, {"answers": reachable})


@app.command()
def collect(name: Name, home: Home, json: Json = False) -> None:
    """Have the contracts pay out what they owe the account: refunds, returned bonds, shares of a slash."""
    from hansa.node.registration import Premises

    paid = show.run(Premises(node_folder(home, name)).collect())
    if json:
        show.as_json({"name": name, "collected": paid})
    else:
        print(f"{show.tokens(paid)} tokens were paid out to {name}" if paid else f"the contracts owe {name} nothing")


@app.command()
def leave(
    name: Name,
    job: Annotated[int, typer.Argument(help="The number of a job in which the node is a trainer.")],
    home: Home,
    json: Json = False,
) -> None:
    """Give a trainer's seat in a running job up: from the next round on it goes on without the node, and its stake is free at once."""
    from hansa.node.registration import Premises

    freed = show.run(Premises(node_folder(home, name)).leave(job))
    if json:
        show.as_json({"name": name, "job": job, "freed": freed})
    else:
        print(
            f"{name} has left job {job}; {show.tokens(freed)} tokens of its stake are free. "
            "Keep it running until the present round is final, and for its pay until the job ends."
        )


@app.command()
def pay(
    to: Annotated[str, typer.Argument(help="An account's address, or the name of one of the home's nodes.")],
    tokens: Annotated[str, typer.Argument(help="How many tokens.")],
    home: Home,
    as_: As = "client",
    json: Json = False,
) -> None:
    """Send tokens to an account, such as a newcomer's that has to stake."""
    from hansa.core.errors import ConfigError
    from hansa.core.types import Address
    from hansa.identity.keys import is_address
    from hansa.market.order import amount
    from hansa.node.registration import Premises

    account = to.lower() if to.startswith("0x") else Premises(node_folder(home, to)).key.address
    if not is_address(account):
        raise ConfigError(f"'{to}' is no account; write 0x and 40 hexadecimal digits, or the name of a node")
    receipt = show.run(Premises(node_folder(home, as_)).pay(Address(account), amount(tokens)))
    if json:
        show.as_json({"to": account, "tokens": tokens, "transaction": receipt.transaction})
    else:
        print(f"{tokens} tokens went to {account} in transaction {receipt.transaction.hex()}")


def _reachable(host: str, port: int) -> bool:
    import socket

    try:
        with socket.create_connection((host, port), timeout=3):
            return True
    except OSError:
        return False


def _print(found: Standing, json: bool, more: dict[str, object] | None = None) -> None:
    if json:
        import msgspec

        show.as_json({**msgspec.structs.asdict(found), **(more or {})})
        return
    entry = found.entry
    rows: list[tuple[str, object]] = [("account", found.account), ("registered", f"'{entry.name}' at {entry.endpoint}" if entry else "no")]
    rows += [(key, "yes" if value else "no") for key, value in (more or {}).items()]
    rows += [
        (label, show.tokens(value))
        for label, value in (
            ("balance", found.balance), ("staked", found.staked), ("of it locked", found.locked), ("of it free", found.free),
            ("to collect", found.vault_credit + found.market_credit + found.rounds_credit),
        )
    ]  # fmt: skip
    show.table(("", ""), rows)
