"""The demo as a stranger runs it: one process with an empty home, from nothing to an approved model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hansa.core.encoding import decode
from hansa.simulation.demo import DemoResult
from hansa.simulation.scenes.training import ROUNDS

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
    hospitals, poisoning = result.hospitals, result.poisoning
    assert hospitals is not None and poisoning is not None
    assert hospitals.rounds == ROUNDS
    assert (hospitals.replaced, hospitals.conserved, hospitals.sound, hospitals.approved) == (True, True, True, True)
    assert hospitals.federated > max(hospitals.pooled - 0.02, sum(hospitals.alone.values()) / len(hospitals.alone))
    assert poisoning.rule[-1] > 0.9 and poisoning.mean[-1] < poisoning.rule[-1] - 0.1
    assert result.memory <= MEMORY
    assert result.ok
    assert not list(homes[0].iterdir()) and not list(homes[1].iterdir()), "the demo left something behind"
