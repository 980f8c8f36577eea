"""The demo as a stranger runs it: one process with an empty home, from nothing to an approved model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hansa.core.encoding import decode
from hansa.simulation.demo import ROUNDS, DemoResult

SECONDS = 240
MEMORY = 2 << 30
PROGRAM = """
import asyncio, sys
from hansa.core.encoding import encode
from hansa.simulation.demo import run_demo
sys.stdout.buffer.write(encode(asyncio.run(run_demo(quiet=True))))
"""


def test_the_demo_keeps_every_promise(tmp_path: Path) -> None:
    homes = tmp_path / "home", tmp_path / "scratch"
    for home in homes:
        home.mkdir()
    environment = {**os.environ, "HOME": str(homes[0]), "TMPDIR": str(homes[1])}
    for name in [name for name in environment if name.startswith("XDG_")]:
        del environment[name]
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    result = decode(done.stdout, DemoResult)
    assert (result.rounds, result.replaced, result.conserved, result.sound, result.approved) == (ROUNDS, True, True, True, True)
    assert result.federated > max(result.pooled - 0.02, sum(result.alone.values()) / len(result.alone))
    assert result.memory <= MEMORY
    assert result.ok
    assert not list(homes[0].iterdir()) and not list(homes[1].iterdir()), "the demo left something behind"
