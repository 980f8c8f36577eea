"""`hansa audit`: how a model came to be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hansa.cli import show
from hansa.cli.options import As, Home, Json, node_folder


def audit(
    what: Annotated[str, typer.Argument(help="A model's digest in hexadecimal, or a job's number for its last model.")],
    home: Home,
    as_: As = "client",
    json: Json = False,
) -> None:
    """Follow a model from its digest back through every round to the data-set digests, checking each step; 6 if a step fails."""
    show.run(_audit(what, home, as_, json))


async def _audit(what: str, home: Path, name: str, json: bool) -> None:
    from hansa.core.errors import ConfigError, ProtocolError
    from hansa.node.home import CONFIG
    from hansa.sdk import open_client

    try:
        subject = int(what) if len(what) < 20 and what.isdecimal() else bytes.fromhex(what.removeprefix("0x"))
    except ValueError:
        raise ConfigError(f"'{what}' is neither a job's number nor a digest of 64 hexadecimal digits") from None
    async with open_client(node_folder(home, name) / CONFIG) as client:
        report = await client.audit(subject)
        names = client.name
    if json:
        show.as_json({"sound": report.sound, "report": report})
    else:
        print(f"model {report.model}\nof job {report.job}, accepted by its verifiers: {'yes' if report.accepted else 'no'}\n")
        rows = [
            (each.round, names(each.coordinator), len(each.contributions), len(each.verifiers), each.model[:16], each.transaction[:16])
            for each in report.rounds
        ]
        show.table(("round", "coordinator", "updates", "verifiers", "model", "transaction"), rows)
        print()
        show.table(("data set", "trainer"), [(digest, names(trainer)) for digest, trainer in sorted(report.datasets.items())])
        wrong = [finding for finding in report.findings if not finding.holds]
        print(f"\n{len(report.findings)} checks, {len(wrong)} failed")
        for finding in wrong:
            print(f"  does not hold: {finding.what} ({finding.seen})")
    if not report.sound:
        raise ProtocolError("the audit found steps that do not hold; this model's making is not proven")
