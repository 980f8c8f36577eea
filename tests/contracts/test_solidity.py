"""What has tools of its own: committed artefacts, forge's fuzz and invariant tests, Slither's findings."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts.evm import CONTRACTS
from tests.contracts.test_mutants import node

ROOT = CONTRACTS.parent


def forge() -> Path:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    found = CONTRACTS / f"node_modules/@foundry-rs/forge-{platform.system().lower()}-{machine}/bin/forge"
    if not found.exists():
        pytest.skip(f"no forge at {found}; run: make setup")
    return found


def environment() -> dict[str, str]:
    """forge and Slither call the compiler's look-alike, which needs node on the path."""
    return {**os.environ, "PATH": os.pathsep.join([str(Path(node()).parent), os.environ.get("PATH", "")])}


def test_committed_artefacts_come_from_the_sources() -> None:
    result = subprocess.run([node(), str(CONTRACTS / "build.mjs"), "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_artefacts_that_differ_are_noticed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src/hansa/chain/artifacts", tmp_path / "artifacts")
    clock = tmp_path / "artifacts/Clock.json"
    clock.write_text(clock.read_text().replace("tick", "tock"))
    command = [node(), str(CONTRACTS / "build.mjs"), "--check", "--out", str(tmp_path / "artifacts")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert "Clock.json" in result.stderr


@pytest.mark.slow
def test_fuzz_and_invariants_hold() -> None:
    result = subprocess.run([str(forge()), "test"], cwd=CONTRACTS, env=environment(), capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]
    assert "11 tests passed" in result.stdout


@pytest.mark.slow
def test_every_finding_of_slither_is_fixed_or_answered() -> None:
    if not (ROOT / ".venv-slither/bin/slither").exists():
        pytest.skip("no Slither; run: contracts/slither.py install")
    forge()
    result = subprocess.run([sys.executable, str(CONTRACTS / "slither.py")], env=environment(), capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
