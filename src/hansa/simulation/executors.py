"""The executors by name."""

from __future__ import annotations

import os
from typing import Literal

from hansa.core.errors import ConfigError
from hansa.simulation.engine import Make
from hansa.simulation.processes import Processes
from hansa.simulation.sequential import Sequential
from hansa.simulation.vectorised import Vectorised

ExecutorName = Literal["auto", "sequential", "vectorised", "processes", "ray"]


def executor(name: str, workers: int = 0, within: str = "sequential") -> Make | None:
    """What opens the executor of that name; None for "auto", which times the first cohort.

    `workers` is how many processes there are, 0 for one per processor; `within` is how each of them trains.
    """
    count = workers or os.cpu_count() or 1
    match name:
        case "auto":
            return None
        case "sequential":
            return Sequential
        case "vectorised":
            return Vectorised
        case "processes":
            return lambda shop: Processes(shop, count, within)
        case "ray":
            from hansa.simulation.ray_cluster import RayCluster

            return lambda shop: RayCluster(shop, count, within)
        case _:
            raise ConfigError(f"the executor {name!r} is not one of auto, sequential, vectorised, processes, ray")
