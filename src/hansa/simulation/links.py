"""How much of its time a worker computes when a job's updates and models travel over links of known bandwidth.

A round of synchronous training: every worker makes H steps, encodes its update and sends it; all wait until the next model is there. What
lies between the last step of the slowest and the first step of the next round is exposed; nothing is assumed to overlap it. In the star a
coordinator gathers the updates, sums them and has verifiers repeat the sum before everybody fetches the next model. Among peers each worker
sends its update to a store once, fetches all the others' and makes the next model itself; nobody repeats it.
"""

from __future__ import annotations

import math

import msgspec

from hansa.core.errors import FormatError


class Link(msgspec.Struct, frozen=True):
    """Bits a second in both directions, and seconds until the first bit of a message has arrived. FormatError when one cannot be."""

    up: float
    down: float
    latency: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.up < math.inf and 0 < self.down < math.inf and 0 <= self.latency < math.inf):
            raise FormatError(f"a link has finite, positive rates and a latency of 0 or more, not {self.up}, {self.down}, {self.latency}")


class Work(msgspec.Struct, frozen=True):
    """What one round asks of a worker and of whoever sums it; times in seconds of one processor, sizes in bytes.

    `steps` local steps of `step` seconds; `encode` and `decode` for one update of `update` bytes, summing it included; `apply` for the
    next model of `model` bytes out of the sum. The slowest worker takes `straggler` times as long as the others. FormatError when a value
    cannot be.
    """

    steps: int
    step: float
    update: int
    model: int
    encode: float = 0.0
    decode: float = 0.0
    apply: float = 0.0
    straggler: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 < self.step < math.inf or not 1 <= self.straggler < math.inf:
            raise FormatError("a round has at least one step of some seconds, and its slowest worker is no faster than the others")
        if min(self.update, self.model, self.encode, self.decode, self.apply) < 0:
            raise FormatError("sizes and times of a round are 0 or more")

    @property
    def compute(self) -> float:
        """Seconds in which a worker computes."""
        return self.steps * self.step


def through_hub(work: Work, workers: int, site: Link, hub: Link, *, holders: int = 1, agreement: float = 0.0) -> float:
    """Exposed seconds of a round of the star, whose coordinator and verifiers sit on a link like `hub`.

    Encode; gather (the slower of a worker's way up and the coordinator's way down for all); sum; the verifiers' gathering from the
    coordinator and their sum; `agreement` on the ledger; scatter (the slower of a worker's way down and the way up for all of the model's
    `holders`, each on a link like `hub`: whoever found the round right holds its model, and a worker takes its parts from all of them).
    One verifier's fetching is counted: they fetch side by side.
    """
    if holders < 1:
        raise FormatError(f"a model has at least one holder, not {holders}")
    updates, models = 8.0 * work.update * _several(workers), 8.0 * work.model * workers
    gather = site.latency + max(8.0 * work.update / site.up, updates / hub.down)
    judge = hub.latency + updates / min(hub.up, hub.down)
    scatter = site.latency + max(8.0 * work.model / site.down, models / (holders * hub.up))
    return work.encode + gather + 2 * _sum(work, workers) + judge + agreement + scatter + _wait(work)


def among_peers(work: Work, workers: int, site: Link) -> float:
    """Exposed seconds of a round in which each worker fetches the others' updates from a store that is never the bottleneck.

    Encode; its own update up; the others' down; their sum and the next model, which every worker makes for itself.
    """
    up = site.latency + 8.0 * work.update / site.up
    down = site.latency + 8.0 * work.update * (_several(workers) - 1) / site.down
    return work.encode + up + down + _sum(work, workers) + _wait(work)


def utilisation(work: Work, exposed: float) -> float:
    """Computing as a share of a whole round: H t / (H t + exposed)."""
    return work.compute / (work.compute + exposed)


def _sum(work: Work, workers: int) -> float:
    return workers * work.decode + work.apply


def _wait(work: Work) -> float:
    """For the slowest."""
    return (work.straggler - 1) * work.compute


def _several(workers: int) -> int:
    if workers < 1:
        raise FormatError(f"a round has at least one worker, not {workers}")
    return workers
