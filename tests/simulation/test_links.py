"""The model of links against sums done by hand, and what must grow or fall with what."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hansa.core.errors import FormatError
from hansa.simulation.links import Link, Work, among_peers, through_hub, utilisation

SITE, HUB = Link(up=8e6, down=32e6, latency=0.5), Link(up=80e6, down=40e6, latency=0.25)
WORK = Work(steps=30, step=2.0, update=1_000_000, model=4_000_000, encode=0.125, decode=0.25, apply=1.0)


def test_a_star_by_hand() -> None:
    # Gather: 1 s up, or 10 MB at 5 MB/s into the hub: 2 s. Sum: 10 * 0.25 + 1. Judge: 10 MB at 5 MB/s. Scatter: 1 s, or 40 MB at 10 MB/s.
    by_hand = 0.125 + (0.5 + 2.0) + 3.5 + (0.25 + 2.0 + 3.5) + 3.0 + (0.5 + 4.0)
    assert through_hub(WORK, 10, SITE, HUB, agreement=3.0) == by_hand
    assert utilisation(WORK, by_hand) == 60 / (60 + by_hand)


def test_a_star_of_one_is_bound_by_the_site() -> None:
    # Up 1 s at 1 MB/s, the verifier's 0.2 s at 5 MB/s, down 1 s at 4 MB/s.
    assert through_hub(WORK, 1, SITE, HUB) == pytest.approx(0.125 + 1.5 + 1.25 + (0.25 + 0.2 + 1.25) + 1.5)


def test_holders_share_the_way_down() -> None:
    # 40 MB at 10 MB/s take 4 s; from two holders 2 s; from eight 0.5 s, and the site's own link needs 1 s for its 4 MB.
    alone = through_hub(WORK, 10, SITE, HUB)
    assert [alone - through_hub(WORK, 10, SITE, HUB, holders=many) for many in (1, 2, 8)] == [0.0, 2.0, 3.0]
    with pytest.raises(FormatError, match="at least one holder"):
        through_hub(WORK, 10, SITE, HUB, holders=0)


def test_peers_by_hand() -> None:
    # Up 1 s; nine others' at 4 MB/s; ten updates summed, the own one among them.
    assert among_peers(WORK, 10, SITE) == 0.125 + (0.5 + 1.0) + (0.5 + 9 / 4) + 3.5
    assert among_peers(WORK, 1, SITE) == 0.125 + 1.5 + 0.5 + 1.25


def test_the_others_wait_for_the_slowest() -> None:
    slow = replace(WORK, straggler=1.25)
    assert among_peers(slow, 4, SITE) == among_peers(WORK, 4, SITE) + 15
    assert through_hub(slow, 4, SITE, HUB) == through_hub(WORK, 4, SITE, HUB) + 15


def test_the_published_figure_is_the_definition() -> None:
    assert utilisation(Work(1, 20 * 60.0, 0, 0), 70.0) == pytest.approx(0.945, abs=5e-4)


def test_nothing_exposed_is_all_of_the_time() -> None:
    assert utilisation(WORK, 0.0) == 1.0


RATE = st.floats(1e3, 1e11)
WORKERS = st.integers(1, 500)


@given(RATE, RATE, RATE, RATE, st.floats(1.0, 100.0), WORKERS)
def test_more_bandwidth_never_costs(up: float, down: float, hub_up: float, hub_down: float, times: float, workers: int) -> None:
    site, hub = Link(up, down), Link(hub_up, hub_down)
    before, peers = through_hub(WORK, workers, site, hub), among_peers(WORK, workers, site)
    wider = Link(up * times, down), Link(up, down * times)
    assert all(through_hub(WORK, workers, each, hub) <= before and among_peers(WORK, workers, each) <= peers for each in wider)
    assert all(
        through_hub(WORK, workers, site, each) <= before for each in (Link(hub_up * times, hub_down), Link(hub_up, hub_down * times))
    )


@given(WORKERS, WORKERS)
def test_more_workers_never_save(few: int, more: int) -> None:
    few, more = sorted((few, more))
    assert through_hub(WORK, few, SITE, HUB) <= through_hub(WORK, more, SITE, HUB)
    assert among_peers(WORK, few, SITE) <= among_peers(WORK, more, SITE)


@given(st.integers(1, 1000), st.integers(1, 1000), st.floats(1.0, 1.5), WORKERS)
def test_more_steps_between_meetings_never_lower_the_share(few: int, more: int, straggler: float, workers: int) -> None:
    low, high = (replace(WORK, steps=steps, straggler=straggler) for steps in sorted((few, more)))
    shares = [utilisation(each, through_hub(each, workers, SITE, HUB)) for each in (low, high)]
    assert 0 < shares[0] <= shares[1] * (1 + 1e-12) and shares[1] < 1 + 1e-12


@pytest.mark.parametrize("link", [(0, 1, 0), (1, 0, 0), (1, 1, -1), (math.inf, 1, 0), (1, math.nan, 0)])
def test_a_link_that_cannot_be_is_refused(link: tuple[float, float, float]) -> None:
    with pytest.raises(FormatError, match="a link has"):
        Link(*link)


@pytest.mark.parametrize("change", [{"steps": 0}, {"step": 0.0}, {"straggler": 0.9}, {"update": -1}, {"model": -1}, {"decode": -0.1}])
def test_a_round_that_cannot_be_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(FormatError, match="round"):
        replace(WORK, **change)


def test_a_round_needs_a_worker() -> None:
    for exposed in (lambda: through_hub(WORK, 0, SITE, HUB), lambda: among_peers(WORK, 0, SITE)):
        with pytest.raises(FormatError, match="at least one worker"):
            exposed()
