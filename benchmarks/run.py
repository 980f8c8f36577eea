"""Run every benchmark, one after another, and write the table benchmarks/RESULTS.md with the machine and its load.

A script that cannot run (its peer or its data set is not installed) says so and is listed with its sentence; the exit code is then 1.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIMIT = 900
"""Seconds one script may take."""


def lines(script: Path) -> tuple[list[dict[str, object]], str]:
    """The claims a script printed, and why it stopped if it did not end well."""
    ran = subprocess.run([sys.executable, str(script), "--json"], capture_output=True, text=True, timeout=LIMIT)
    claims = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    reason = "" if ran.returncode == 0 else (ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"])[-1]
    return claims, reason


def cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> int:
    load = os.getloadavg()
    table = ["| claim | value | unit | against | ratio | bar | holds |", "|---|---|---|---|---|---|---|"]
    failures = []
    for script in sorted(HERE.glob("*.py")):
        if script.name == "run.py":
            continue
        started = time.monotonic()
        print(f"{script.stem} ...", flush=True)
        claims, reason = lines(script)
        for claim in claims:
            print("  " + json.dumps(claim), flush=True)
            columns = ("claim", "value", "unit", "against", "ratio", "bar", "holds")
            table.append("| " + " | ".join(cell(claim.get(column)) for column in columns) + " |")
        if reason:
            failures.append(f"- `{script.name}`: {reason}")
        print(f"  {time.monotonic() - started:.0f} s {reason}", flush=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; load before the run {load[0]:.1f}"
    text = ["# Measured", "", f"Written by `make bench` on {machine}.", "", *table]
    if failures:
        text += ["", "Not run to the end:", "", *failures]
    (HERE / "RESULTS.md").write_text("\n".join(text) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
