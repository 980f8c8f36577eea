"""`hansa up`: a network that stays until it is told to end, and is the same one when it is started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from hansa.core.config import load, save
from hansa.market.order import Adapter, Order
from hansa.model import codec
from hansa.model.architectures import Linear, layout
from tests.cli.conftest import Hansa


def begin(home: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, "-m", "hansa.cli.main", "up", "--json", "--home", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=kept)
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, json.loads(line) if line else {}


def adapt(hansa: Hansa, home: Path) -> None:
    """Another job trains an adapter of the first one's saved model, and the two are saved as one."""
    folder = home / "nodes" / "client"
    hansa("model", "save", "1", folder / "biopsy.safetensors", home=home)
    order = load(folder / "job.toml", Order)
    base = order.architecture
    assert isinstance(base, Linear)
    saved = codec.decode((folder / "biopsy.safetensors").read_bytes(), layout(base))
    adapter = Adapter(base, "biopsy.safetensors", rank=1, alpha=2.0)
    save(folder / "adapter.toml", replace(order, title="an adapter", architecture=adapter, budget="60", rounds=2, milestones=1))
    job = hansa("job", "post", folder / "adapter.toml", "--wait", "--json", home=home)
    assert job.code == 0 and isinstance(job.json, dict) and (job.json["final"], job.json["closed"]) == (2, 1), job.err
    number = str(job.json["job"])
    said = hansa("model", "save", number, folder / "merged.safetensors", home=home)
    assert said.code == 0 and f"the model of job {number} is in" in said.out
    merged = codec.decode((folder / "merged.safetensors").read_bytes(), layout(base))
    assert merged.layout == saved.layout and merged.vector.tobytes() != saved.vector.tobytes()
    hansa("model", "save", number, folder / "merged.safetensors", home=home).sentence(2, "is there already")
    hansa("model", "save", "99", folder / "none.safetensors", home=home).sentence(6, "there is no job 99")


@pytest.mark.slow
def test_a_network_stays_and_comes_back(hansa: Hansa, tmp_path: Path) -> None:
    home = tmp_path / "home"
    process, first = begin(home)
    try:
        roles = [party["role"] for party in first["parties"]]
        assert [roles.count(role) for role in ("trainer", "coordinator", "verifier", "client")] == [4, 2, 3, 1]
        for party in first["parties"]:
            found = hansa("node", "status", party["name"], "--json", home=home).json
            assert isinstance(found, dict) and found["account"] == party["account"]
            assert found["answers"] is (party["role"] != "client")
        assert hansa("doctor", home=home).code == 0
        hansa("up", home=home).sentence(8, "held by another running process")
        job = hansa("job", "post", home / "nodes" / "client" / "job.toml", "--wait", "--json", home=home)
        assert job.code == 0 and isinstance(job.json, dict) and (job.json["final"], job.json["closed"]) == (6, 1)
        shown = hansa("audit", "1", "--json", home=home).json
        assert isinstance(shown, dict) and shown["sound"] and shown["report"]["accepted"]
        published = hansa("model", "publish", "1", "--title", "biopsy", "--json", home=home).json
        assert isinstance(published, dict) and published["versions"][0]["status"] == "approved"
        adapt(hansa, home)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    hansa("doctor", home=home).sentence(2, "looks found something to mend", "node charite")

    process, second = begin(home)
    try:
        assert second["parties"] == first["parties"]
        listed = hansa("job", "list", "--json", home=home).json
        assert isinstance(listed, list) and [(job["job"], job["state"]) for job in listed] == [(1, "closed"), (3, "closed")]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
