"""The demo: one network of real processes on a real chain, and the scenes that are played on it, each told as it happens."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import msgspec
from msgspec.structs import replace

from hansa.core.errors import ConfigError
from hansa.simulation.adversary_process import command
from hansa.simulation.hospitals import Patients, patients
from hansa.simulation.network import Network
from hansa.simulation.plan import NetworkPlan, hospital_plan
from hansa.simulation.scenes.poisoning import POISONER, Poisoning, PoisoningResult
from hansa.simulation.scenes.stage import Stage, client_of
from hansa.simulation.scenes.training import LIE_AT, MILESTONES, Training, TrainingResult
from hansa.simulation.telling import Telling

SCENES = ("hospitals", "poisoning")


class DemoResult(msgspec.Struct, frozen=True):
    """What the run came to: `ok` when every check of every scene held, seconds, and the most memory (PSS) in bytes; a scene that was not
    played is None."""

    ok: bool
    seconds: float
    memory: int
    hospitals: TrainingResult | None = None
    poisoning: PoisoningResult | None = None


def demo_plan(home: Path, scenes: tuple[str, ...]) -> NetworkPlan:
    """The hospitals' network, with a liar as first coordinator and a hospital that poisons every job after the first scene's."""
    first = 1 + (MILESTONES if "hospitals" in scenes else 0)
    commands = {"coordinator": command("liar", LIE_AT), POISONER: command("poisoner", first)}
    plan = hospital_plan(home)
    return replace(plan, members=tuple(replace(each, command=commands.get(each.name, each.command)) for each in plan.members))


async def run_demo(scene: str | None = None, *, home: Path | None = None, quiet: bool = False) -> DemoResult:
    """Play a scene, or all of them one after another, in a fresh folder or in `home`; ConfigError for a scene that does not exist."""
    if scene is not None and scene not in SCENES:
        raise ConfigError(f"there is no scene '{scene}'; there are: {', '.join(SCENES)}")
    scenes, tell = SCENES if scene is None else (scene,), Telling(quiet=quiet)
    if home is not None:
        return await _play(home, scenes, tell)
    with tempfile.TemporaryDirectory(prefix="hansa-demo-") as folder:
        return await _play(Path(folder), scenes, tell)


async def _play(home: Path, scenes: tuple[str, ...], tell: Telling) -> DemoResult:
    started = time.monotonic()
    everyone = patients()
    tell.title("A network of parties who do not trust each other")
    with tell.working("starting a chain, contracts and nine processes"):
        network = Network(demo_plan(home, scenes))
        await network.__aenter__()
    try:
        _introduce(network, everyone, tell, time.monotonic() - started)
        async with client_of(network) as client:
            stage = Stage(network, client, everyone, tell)
            hospitals = await Training(stage).run() if "hospitals" in scenes else None
            poisoning = await Poisoning(stage).run() if "poisoning" in scenes else None
            stage.weigh()
        seconds = time.monotonic() - started
        tell.title("In all")
        tell.say(f"{seconds:.0f} s, {stage.memory / 2**20:,.0f} MiB (PSS) for all {len(network.members) + 1} processes and their workers")
        ok = all(each.ok for each in (hospitals, poisoning) if each is not None)
        return DemoResult(ok, seconds, stage.memory, hospitals, poisoning)
    finally:
        await network.stop()


def _introduce(network: Network, everyone: Patients, tell: Telling, seconds: float) -> None:
    tell.good(f"chain {network.plan.chain_id} and {len(network.deployment.contracts)} contracts up in {seconds:.1f} s")
    for name, clinic in everyone.hospitals.items():
        ill = clinic.labels.mean()
        tell.say(f"{name:<14} {len(clinic.labels):>4} patients, {ill:.0%} malignant; its rows stay in its own folder and process")
    tell.say(f"{'client':<14} {len(everyone.client.labels):>4} patients that no hospital has, for progress and acceptance")
    tell.say("coordinator and standby, three verifiers; everyone has stake to lose")
