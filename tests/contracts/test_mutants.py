"""The suite is shown to notice planted bugs: each mutant is compiled and the tests must fail on it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts.evm import CONTRACTS
from tests.contracts.mutants import MUTANTS, Mutant

HERE = Path(__file__).parent
LOGIC = sorted(
    path for path in HERE.glob("test_*.py") if path.stem not in ("test_deployment", "test_mutants", "test_solidity", "test_conservation")
)
# Where a bug in a source is most likely noticed; these tests run first, the others only if they pass.
NEAREST = {
    "StakeVault.sol": "test_vault",
    "JobMarket.sol": "test_market",
    "NodeRegistry.sol": "test_registry",
    "Clock.sol": "test_clock",
    "Acceptance.sol": "test_acceptance",
    "ModelRegistry.sol": "test_models",
    "ledger/Jobs.sol": "test_settlement",
    "ledger/Rounds.sol": "test_rounds",
    "ledger/Settlement.sol": "test_settlement",
    "Cohort.sol": "test_membership",
    "cohort/Enrolment.sol": "test_cohort",
    "cohort/Verdicts.sol": "test_verdicts",
}
CONSERVATION = HERE / "test_conservation.py"


def node() -> str:
    beside = Path(sys.executable).parent / "node"
    found = shutil.which("node") or (str(beside) if beside.exists() else None)
    if found is None or not (CONTRACTS / "node_modules/solc").exists():
        pytest.skip("no node or no solc; run: make setup")
    return found


def compiled(mutant: Mutant, cache: Path) -> Path:
    """Artefacts of the sources with the bug in them, kept as long as sources and bug stay the same."""
    sources = CONTRACTS / "src"
    text = (sources / mutant.file).read_text()
    assert text.count(mutant.before) == 1, f"{mutant.name}: the place to change occurs {text.count(mutant.before)} times in {mutant.file}"
    changed = text.replace(mutant.before, mutant.after)
    everything = "".join(path.read_text() for path in sorted(sources.rglob("*.sol")))
    base = cache / hashlib.sha256((everything + changed).encode()).hexdigest()[:16]
    done = base / "artifacts"
    if not (done / "RoundLedger.json").exists():
        shutil.rmtree(base, ignore_errors=True)
        shutil.copytree(sources, base / "src")
        (base / "src" / mutant.file).write_text(changed)
        command = [node(), str(CONTRACTS / "build.mjs"), "--base", str(base), "--out", str(done)]
        result = subprocess.run(command, capture_output=True, text=True)
        assert (done / "RoundLedger.json").exists(), result.stderr
    return done


def noticed(artifacts: Path, files: list[Path], examples: int = 10) -> str | None:
    """The first test that fails on these artefacts, None if all pass."""
    environment = {
        **os.environ,
        "HANSA_TEST_ARTIFACTS": str(artifacts),
        "HANSA_TEST_EXAMPLES": str(examples),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "--tb=no", *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=HERE.parents[1], timeout=500)
    assert result.returncode in (0, 1), result.stdout + result.stderr
    failed = [line for line in result.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0] if failed else None


@pytest.fixture
def cache(pytestconfig: pytest.Config) -> Path:
    assert pytestconfig.cache is not None
    return Path(pytestconfig.cache.mkdir("mutants"))


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_the_rules_notice(mutant: Mutant, cache: Path) -> None:
    files = sorted(LOGIC, key=lambda path: path.stem != NEAREST[mutant.file])
    assert noticed(compiled(mutant, cache), files), f"nobody noticed: {mutant.name}"


@pytest.mark.slow
@pytest.mark.parametrize("mutant", [one for one in MUTANTS if one.money], ids=[one.name for one in MUTANTS if one.money])
def test_the_conservation_model_notices(mutant: Mutant, cache: Path) -> None:
    assert noticed(compiled(mutant, cache), [CONSERVATION], examples=60), f"the model did not notice: {mutant.name}"


def test_every_mutant_changes_one_place() -> None:
    for mutant in MUTANTS:
        assert (CONTRACTS / "src" / mutant.file).read_text().count(mutant.before) == 1, mutant.name
        assert mutant.before != mutant.after
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
