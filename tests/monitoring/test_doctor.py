"""The doctor sees what is there, and says of what is missing what to do."""

from __future__ import annotations

import asyncio
import importlib.metadata
import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil  # type: ignore[import-untyped]
import pytest

from hansa.monitoring import doctor
from hansa.monitoring.doctor import Finding, examine
from hansa.node.config import ChainConfig, ListenConfig
from hansa.node.home import make_home


def look(home: Path) -> dict[str, Finding]:
    return {finding.what: finding for finding in asyncio.run(examine(home))}


def test_a_machine_that_is_set_up_is_well(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert {"Python", "torch", "signatures", "contracts", "embedded chain", "disk", "memory", "loopback", "shared data"} == set(found)
    assert all(found[what].well for what in ("Python", "torch", "signatures", "contracts", "disk", "loopback")), found


def test_another_torch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "2.12.0+cpu" if name == "torch" else real(name))
    assert look(tmp_path)["torch"] == Finding("torch", False, "torch is 2.12.0+cpu; replayed training needs 2.13.0 exactly")


def test_a_missing_chain_binary_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_anvil", lambda: tmp_path / "anvil")
    found = look(tmp_path)["embedded chain"]
    assert not found.well and "anvil" in found.seen


def test_little_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 5 << 20))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=100 << 20))
    found = look(tmp_path)
    assert not found["disk"].well and "5 MiB are free" in found["disk"].seen
    assert not found["memory"].well and "100 MiB of memory are available" in found["memory"].seen


def test_a_node_whose_chain_is_silent_is_named(tmp_path: Path) -> None:
    chain = ChainConfig(("http://127.0.0.1:9",), "deployment.json")
    make_home(tmp_path / "nodes" / "office", "office", "coordinator", chain, 0.0, listen=ListenConfig(port=7000), work=2)
    found = look(tmp_path)["node office"]
    assert not found.well and "no endpoint of the chain answers" in found.seen


def test_a_node_without_its_password_is_named(tmp_path: Path) -> None:
    chain = ChainConfig(("http://127.0.0.1:9",), "deployment.json")
    make_home(tmp_path / "nodes" / "office", "office", "coordinator", chain, 0.0, listen=ListenConfig(port=7000), work=2)
    (tmp_path / "nodes" / "office" / "password").unlink()
    found = look(tmp_path)["node office"]
    assert not found.well and "password" in found.seen
