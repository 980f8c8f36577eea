"""An adversary as a process of its own: `python -m hansa.simulation.adversary_process --kind liar --round 4 --config FILE`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from hansa.core.clock import SystemClock
from hansa.core.errors import HansaError
from hansa.node.compose import run_node
from hansa.node.config import NodeConfig
from hansa.node.node import Node, Parts
from hansa.runtime import logs
from hansa.simulation.colluder import ColludingVerifier
from hansa.simulation.liar import LyingCoordinator
from hansa.simulation.mute import MuteVerifier
from hansa.simulation.omitter import DeafCoordinator, OmittingCoordinator
from hansa.simulation.poisoner import PoisoningTrainer
from hansa.simulation.withholder import WithholdingCoordinator

KINDS: Mapping[str, Callable[[Parts, int], Node]] = {
    "liar": LyingCoordinator,
    "withholder": WithholdingCoordinator,
    "deaf": DeafCoordinator,
    "omitter": OmittingCoordinator,
    "colluder": lambda parts, round: ColludingVerifier(parts),
    "mute": lambda parts, round: MuteVerifier(parts),
}
"""Adversaries by name; the number is the round in which a coordinator is one, verifiers always are."""


def command(kind: str, round: int = 1) -> tuple[str, ...]:
    """The command of an adversary's process, to which the path of its configuration is added."""
    return (sys.executable, "-m", "hansa.simulation.adversary_process", "--kind", kind, "--round", str(round), "--config")


def main() -> int:
    parser = argparse.ArgumentParser(prog="hansa.simulation.adversary_process", description="Run a node that does not keep the rules.")
    parser.add_argument("--kind", choices=sorted((*KINDS, "poisoner")), required=True)
    parser.add_argument("--round", type=int, default=1, help="round in which a coordinator breaks the rules; first job that is poisoned")
    parser.add_argument("--config", type=Path, required=True)
    options = parser.parse_args()

    def make(config: NodeConfig, home: Path, parts: Parts) -> Node:
        if options.kind == "poisoner":
            return PoisoningTrainer.make(config, home, parts, options.round)
        return KINDS[options.kind](parts, options.round)

    logs.set_up(SystemClock(), sys.stderr, role=options.kind)
    try:
        asyncio.run(run_node(options.config, make=make))
    except HansaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
