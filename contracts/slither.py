"""Runs Slither on the contracts and fails on any finding that SLITHER.md does not answer, or on an answer to nothing.

`python contracts/slither.py install` makes its environment first: Slither needs web3 7, so it has one of its own.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOME = HERE.parent / ".venv-slither"
ANSWER = re.compile(r"^- `([a-z-]+)` `([\w.]+)`")


def install() -> None:
    """The environment with the locked versions."""
    venv.create(HOME, with_pip=True, clear=True)
    pip = [str(HOME / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]
    subprocess.run([*pip, str(HERE / "slither.lock")], check=True)


def findings() -> set[tuple[str, str]]:
    """(detector, Contract.function) of everything Slither reports about our own sources."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    forge = HERE / f"node_modules/@foundry-rs/forge-{platform.system().lower()}-{machine}/bin"
    path = os.pathsep.join([str(forge), str(HOME / "bin"), os.environ.get("PATH", "")])
    command = [str(HOME / "bin/slither"), ".", "--filter-paths", "node_modules|test/", "--json", "-", "--fail-none"]
    run = subprocess.run(command, cwd=HERE, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    try:
        report = json.loads(run.stdout)
    except ValueError:
        sys.exit(f"Slither did not run:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    if not report["success"]:
        sys.exit(f"Slither failed: {report['error']}")
    return {(finding["check"], place(finding["elements"][0])) for finding in report["results"].get("detectors", [])}


def place(element: dict) -> str:
    """Contract.function around a source element."""
    names = []
    while element:
        if element["type"] in ("function", "contract"):
            names.append(element["name"])
        element = element.get("type_specific_fields", {}).get("parent", {})
    return ".".join(reversed(names))


def answered() -> set[tuple[str, str]]:
    lines = (HERE / "SLITHER.md").read_text().splitlines()
    return {(match[1], match[2]) for line in lines if (match := ANSWER.match(line))}


def main() -> int:
    found, known = findings(), answered()
    for check, where in sorted(found - known):
        print(f"unanswered: - `{check}` `{where}`")
    for check, where in sorted(known - found):
        print(f"answer to nothing: - `{check}` `{where}`")
    print(f"{len(found)} findings, {len(found - known)} unanswered, {len(known - found)} stale answers")
    return 1 if found ^ known else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["install"]:
        install()
    else:
        sys.exit(main())
