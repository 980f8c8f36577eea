"""What has tools of its own: committed artefacts, forge's fuzz and invariant tests, Slither's findings."""

from __future__ import annotations

import os
import platform
import re
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


@pytest.mark.slow
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


def undocumented(source: str) -> list[str]:
    """External and public functions without a sentence of meaning above them."""
    lines, missing = source.splitlines(), []
    for i, line in enumerate(lines):
        if not (match := re.match(r"    function (\w+)\(", line)):
            continue
        head = " ".join(lines[i : i + 9]).split("{")[0].split(";")[0]
        above = i - 1
        while lines[above].startswith("    ///") and "@notice" not in lines[above] and "@inheritdoc" not in lines[above]:
            above -= 1
        said = "@notice" in lines[above] or "@inheritdoc" in lines[above]
        if re.search(r"\b(external|public)\b", head) and not said:
            missing.append(match[1])
    return missing


def test_every_external_function_says_what_it_means() -> None:
    assert undocumented("    /// @dev x\n    function a() external {}\n") == ["a"]
    for path in sorted((CONTRACTS / "src").rglob("*.sol")):
        assert undocumented(path.read_text()) == [], path.name


def test_no_source_outgrows_its_concept() -> None:
    for path in (*(CONTRACTS / "src").rglob("*.sol"), *(CONTRACTS / "test").glob("*.sol")):
        assert len(path.read_text().splitlines()) <= 400, path.name
