"""The parent's side of a Flower app: a pool of one warm process under the app's own Python. flwr is never imported here."""

from __future__ import annotations

import os
from pathlib import Path

from hansa.core.errors import ConfigError
from hansa.runtime.lifeline import launcher
from hansa.runtime.workers import WorkerPool

SCRIPT = Path(__file__).with_name("flower_process.py")


class FlowerPool(WorkerPool):
    """Runs the ClientApp `app` ("module:attribute", looked for in `folder`) with the interpreter `python`; its one kind of call is `train`.

    ConfigError at the start when there is no such interpreter, when it has another flwr than the script is made for, or when the app does
    not load.
    """

    def __init__(self, python: Path, app: str, folder: Path) -> None:
        super().__init__(f"the Flower app {app}", 1, "cpu")
        # Not resolved: a virtual environment's interpreter is known by the link's own place.
        self._python, self._app, self._folder = Path(os.path.abspath(python)), app, Path(os.path.abspath(folder))

    async def start(self) -> None:
        if not self._python.is_file() or not os.access(self._python, os.X_OK):
            raise ConfigError(f"there is no Python at {self._python}; name one that has flwr in [flower] python")
        if not self._folder.is_dir():
            raise ConfigError(f"there is no folder {self._folder}; name the Flower app's in [flower] folder")
        await super().start()

    def command(self) -> list[str]:
        # Isolated: neither this package's folder nor the node's own environment may be seen by the app's imports.
        return launcher([str(self._python), "-I", str(SCRIPT), self._app, str(self._folder)])
