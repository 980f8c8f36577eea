"""Clients in the actors of a Ray cluster: one trust domain's many machines (the extra `ray`)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hansa.core.errors import ConfigError, FormatError, HansaError, WorkerError
from hansa.simulation.messages import merge, pack_call, shares, write_shop
from hansa.simulation.process import Hand
from hansa.simulation.work import Call, Outcome, Shop


class RayCluster:
    """`count` actors, each with one processor, on the cluster that RAY_ADDRESS names or else on one that is started here and ended again.

    The shop's arrays go through Ray's object store, once a machine. ConfigError when Ray is not installed.
    """

    name = "ray"

    def __init__(self, shop: Shop, count: int, within: str = "sequential") -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError("the executor ray needs the package ray; install hansa[ray], or take processes") from error
        self._ray, self._shop, self._within = ray, shop, within
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        self._started = not ray.is_initialized()
        if self._started:
            local = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": count, "include_dashboard": False}
            ray.init(log_to_driver=False, configure_logging=False, **local)
        with tempfile.TemporaryDirectory(prefix="hansa-simulation-") as name:
            write_shop(shop, Path(name))
            files = {path.name: path.read_bytes() for path in Path(name).iterdir()}
        stored = ray.put(files)
        actor = ray.remote(num_cpus=1, num_gpus=1 if shop.population.device.type == "cuda" else 0)(_Actor)
        self._actors = [actor.remote(stored, shop.population.device.type) for _ in range(count)]

    def run(self, call: Call) -> Outcome:
        outcome = Outcome(self._shop, call)
        parts = shares(self._shop, call, len(self._actors))
        packed = [pack_call(call, Path(), self._within, part) for part in parts]
        asked = [actor.part.remote(header, [*map(bytes, buffers)]) for actor, (header, buffers) in zip(self._actors, packed, strict=False)]
        try:
            answers = self._ray.get(asked)
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, HansaError):
                raise type(cause)(str(cause)) from error
            raise WorkerError(f"an actor of the Ray cluster failed ({str(error).splitlines()[-1]}); look at its log") from error
        for part, (header, buffers) in zip(parts, answers, strict=True):
            merge(outcome, part, header, buffers)
        return outcome

    def close(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        if self._started:
            self._ray.shutdown()


class _Actor:
    """A worker process's hand, with the shop in a folder of its own."""

    def __init__(self, files: dict[str, bytes], device: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hansa-simulation-")
        for name, data in files.items():
            (Path(self._folder.name) / name).write_bytes(data)
        self._hand = Hand()
        self._hand.setup(device, 1)
        self._hand.open(Path(self._folder.name))

    def part(self, header: bytes, buffers: list[Any]) -> tuple[bytes, list[bytes]]:
        if not isinstance(header, bytes):
            raise FormatError("a part of a round begins with its header")
        answer, values = self._hand.part(header, buffers)
        return answer, [*map(bytes, values)]
