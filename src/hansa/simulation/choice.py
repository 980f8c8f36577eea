"""Which executor a simulation runs on: the one that was named, or the cheaper of one by one and stacked, by timing the first cohort."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import numpy as np

from hansa.core.errors import ProtocolError
from hansa.learning.strategy import mean_of
from hansa.simulation.sequential import Sequential
from hansa.simulation.vectorised import Vectorised
from hansa.simulation.work import Call, Executor, Outcome, Shop

TOLERANCE = 2e-3
"""Largest difference of the two mean updates, as a share of the sequential one's norm; beyond it the stacked result is not trusted."""

_GAIN = 0.95

_TURNS, _PATIENCE = 5, 1.0
"""The cohort is timed so many times each way, fewer when that takes longer than so many seconds."""

_chosen: dict[tuple[object, ...], tuple[str, str]] = {}


class Chosen(NamedTuple):
    """The executor, why it was chosen, and the outcome of the cohort that was timed, where one was."""

    executor: Executor
    words: str
    outcome: Outcome | None = None


def choose(shop: Shop, call: Call) -> Chosen:
    """Time both ways on the call's cohort; the answer is remembered for the architecture, cohort's size, batch and device."""
    device, local = shop.population.device, shop.work.strategy.local
    key = (shop.work.architecture, shop.work.objective, local, len(call.clients), device.type)
    alone, together = Sequential(shop), Vectorised(shop)
    if key in _chosen:
        name, words = _chosen[key]
        return Chosen(together if name == together.name else alone, words)
    # What is paid once - building modules, choosing kernels - is no part of the comparison.
    few = range(min(len(call.clients), together.width))
    for executor in (alone, together):
        executor.some(call, few, Outcome(shop, call))
    times: dict[str, float] = {alone.name: math.inf, together.name: math.inf}
    outcomes: dict[str, Outcome] = {}
    begun = time.perf_counter()
    for turn in range(_TURNS):
        if turn and time.perf_counter() - begun > _PATIENCE:
            break
        for executor in (alone, together):
            started, cpu = time.perf_counter(), time.process_time()
            outcomes[executor.name] = executor.run(call)
            # On a device the processor waits; what counts there is the wall clock.
            spent = time.process_time() - cpu if device.type == "cpu" else time.perf_counter() - started
            times[executor.name] = min(times[executor.name], spent)
    ratio, words = times["vectorised"] / times["sequential"], ""
    if together.refusal:
        name, words = "sequential", together.refusal
    elif (apart := difference(shop, outcomes["sequential"], outcomes["vectorised"])) > TOLERANCE:
        name, words = "sequential", f"stacked training differs by {apart:.2g} of the update, which is too much"
    else:
        name = "vectorised" if ratio < _GAIN else "sequential"
        words = f"stacked training took {ratio:.2f} times the sequential time and differs by {apart:.1g} of the update"
    _chosen[key] = (name, words)
    return Chosen(together if name == "vectorised" else alone, words, outcomes["sequential"])


def difference(shop: Shop, first: Outcome, second: Outcome) -> float:
    """|second - first| / |first| of the summed, or else of all held, updates."""
    if first.held:
        one, two = (np.stack([outcome.held[place] for place in sorted(outcome.held)]).astype(np.float64) for outcome in (first, second))
    else:
        try:
            one, two = (mean_of(outcome.gathered.aggregate()[0]).values for outcome in (first, second))
        except ProtocolError:
            return 0.0
    length = float(np.linalg.norm(one))
    return float(np.linalg.norm(two - one)) / length if length else float(np.linalg.norm(two))
