"""The Python of Flower apps, for tests that need a real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import ROOT

APP = ROOT / "tests" / "flower" / "app"
OTHERS = ROOT / "tests" / "flower" / "others"


def flower_python() -> Path:
    """The interpreter that has flwr; the test is skipped where there is none."""
    python = Path(os.environ.get("HANSA_FLOWER_PYTHON", ROOT / ".venv-flower" / "bin" / "python"))
    if not python.exists():
        pytest.skip(f"no Python with flwr at {python}; run `make flower` or set HANSA_FLOWER_PYTHON")
    return python
