"""`hansa`: the commands put together; an error of the tree is one sentence and its exit code, `HANSA_DEBUG=1` shows where it came from."""

from __future__ import annotations

import os
import sys

import typer

from hansa.cli import job, model, node
from hansa.cli.audit import audit
from hansa.cli.demo import demo
from hansa.cli.doctor import doctor
from hansa.cli.robustness import robustness
from hansa.cli.simulate import simulate
from hansa.cli.up import up
from hansa.core.errors import HansaError, StorageError

app = typer.Typer(
    name="hansa",
    help="Train AI models together with parties who do not trust each other.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(up)
app.command()(demo)
app.command()(doctor)
app.command()(simulate)
app.command()(robustness)
app.add_typer(node.app, name="node")
app.add_typer(job.app, name="job")
app.add_typer(model.app, name="model")
app.command()(audit)


def main() -> None:
    """Run the command line; never returns normally."""
    try:
        app()
    except (HansaError, OSError, BaseExceptionGroup) as error:
        cause = _cause(error)
        if cause is None or os.environ.get("HANSA_DEBUG"):
            raise
        print(f"hansa: {cause}", file=sys.stderr)
        sys.exit(cause.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _cause(error: BaseException) -> HansaError | None:
    """The first error of the tree among those that tasks ended with together."""
    if isinstance(error, HansaError):
        return error
    if isinstance(error, OSError):
        where = f" at {error.filename}" if error.filename else ""
        return StorageError(f"the system refused: {error.strerror or error}{where}; make room or check rights, then repeat the command")
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return next((found for each in inner if (found := _cause(each)) is not None), None)


if __name__ == "__main__":
    main()
