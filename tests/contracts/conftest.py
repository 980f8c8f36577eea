"""Worlds for the contract tests: one deployment per session, every test on its own snapshot of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.evm import Anvil, Revm, anvil_binary
from tests.contracts.world import Job, World


@pytest.fixture(scope="session")
def deployed() -> World:
    return World(Revm())


@pytest.fixture
def world(deployed: World) -> Iterator[World]:
    mark = deployed.evm.snapshot()
    yield deployed
    deployed.evm.revert(mark)


@pytest.fixture
def job(world: World) -> Job:
    """Running, with four trainers, two coordinators and three seats; four rounds in two milestones."""
    return Job(world).running()


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    if not anvil_binary().exists():
        pytest.skip(f"no anvil at {anvil_binary()}; run: make setup")
    process = Anvil()
    yield process
    process.close()
