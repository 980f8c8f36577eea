"""Gathering: the network's own sums and rules to the last bit, in any order, from any number of processes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.compression.topk import TopK
from hansa.learning.robust.krum import MultiKrum
from hansa.learning.strategies import FedAvg
from hansa.model.aggregate import Aggregate
from hansa.model.architectures import layout
from hansa.model.update import Update, quantise
from hansa.rounds.pipeline import Pipeline
from hansa.simulation.gathering import Gathering
from tests.simulation.few import LOCAL, MODEL

SIZE = layout(MODEL).size


def pipeline(bits: int = 16, **changed: object) -> Pipeline:
    parts = {"clip": 0.0, "compression": None, "rule": None, **changed}
    return Pipeline.of(FedAvg(LOCAL), layout(MODEL), 1.0, bits, **parts)  # type: ignore[arg-type]


def vectors(count: int, seed: int = 0, scale: float = 0.3) -> list[np.ndarray]:
    return list((np.random.default_rng(seed).standard_normal((count, SIZE)) * scale).astype(np.float32))


@given(st.integers(1, 6), st.sampled_from([16, 32]), st.integers(0, 99), st.integers(1, 1 << 20))
def test_the_running_sum_is_the_aggregate_of_the_network(count: int, bits: int, seed: int, most: int) -> None:
    grid = pipeline(bits).grid
    sent, weights = vectors(count, seed), np.random.default_rng(seed).integers(1, most + 1, count).tolist()
    gathered = Gathering(pipeline(bits), 1)
    for place, (vector, weight) in enumerate(zip(sent, weights, strict=True)):
        assert gathered.add(place, vector, weight, ()) == ()
    expected = Aggregate.of(
        Update(grid.layout, grid.scales, quantise(grid.layout, vector, grid.scales, bits)[0], weight)
        for vector, weight in zip(sent, weights, strict=True)
    )
    assert gathered.aggregate()[0].digest() == expected.digest()


CASES = [{}, {"clip": 0.5}, {"compression": TopK(keep=10, chunk=64)}, {"rule": MultiKrum(f=1)}, {"rule": MultiKrum(f=1), "clip": 0.5}]


@pytest.mark.parametrize("changed", CASES, ids=str)
def test_order_and_processes_do_not_matter(changed: dict[str, object]) -> None:
    sent, through = vectors(7), pipeline(**changed)
    whole, parts = Gathering(through, 3), [Gathering(through, 3) for _ in range(3)]
    weight = 1 if "rule" in changed else 9
    for place in (3, 0, 6, 1, 2, 5, 4):
        first = whole.add(place, sent[place], weight, through.initial())
        again = parts[place % 3].add(place, sent[place], weight, through.initial())
        assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    merged = parts[0]
    for part in parts[1:]:
        merged.merge(*part.pack())
    one, two = whole.aggregate(), merged.aggregate()
    assert one[0].digest() == two[0].digest() and one[1] == two[1] and (merged.weight, merged.count) == (7 * weight, 7)


def test_a_rule_names_the_places_that_it_left_out() -> None:
    sent = vectors(7, scale=0.01)
    sent[4][:] = 0.9
    gathered = Gathering(pipeline(rule=MultiKrum(f=1)), 3)
    for vector, place in zip(sent, (11, 3, 8, 5, 4, 9, 7), strict=True):
        gathered.add(place, vector, 1, ())
    assert 4 in gathered.aggregate()[1]


def test_what_cannot_be_summed_is_refused() -> None:
    gathered = Gathering(pipeline(), 1)
    with pytest.raises(ProtocolError, match="no client took part"):
        gathered.aggregate()
    for weight in (0, (1 << 20) + 1):
        with pytest.raises(ProtocolError, match="a weight is 1 to"):
            gathered.add(0, vectors(1)[0], weight, ())
    broken = vectors(1)[0]
    broken[3] = np.nan
    with pytest.raises(FormatError, match="not finite"):
        gathered.add(0, broken, 1, ())
    with pytest.raises(FormatError, match="float32"):
        gathered.add(0, broken[1:], 1, ())
