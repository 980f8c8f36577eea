"""The rules of the house that a tool can check."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 400


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).exists()]


def test_no_file_is_longer_than_one_concept_needs() -> None:
    long = {
        str(path.relative_to(ROOT)): lines for path in tracked("*.py", "*.sol", "*.mjs") if (lines := path.read_text().count("\n")) > LIMIT
    }
    assert not long, f"over {LIMIT} lines; split by concept: {long}"


def test_every_source_file_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in tracked("src/*.py")
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, f"no docstring: {silent}"


def test_source_never_asserts_on_input_nor_unpickles_nor_evaluates() -> None:
    bad = []
    for path in tracked("src/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            call = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.Assert) or call in {"eval", "exec"} or "pickle" in names:
                bad.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not bad, f"assert, eval, exec or pickle in source: {bad}"


def test_rooms_have_no_drawer_for_everything() -> None:
    drawers = [str(path.relative_to(ROOT)) for path in tracked("src/*.py") if path.stem in {"utils", "util", "common", "helpers", "misc"}]
    assert not drawers
