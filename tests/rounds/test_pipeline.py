"""From a site's vector to the server's mean: what is sent decodes to what is summed, and the mean is that of what was sent."""

from __future__ import annotations

import numpy as np
import pytest

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.compression.choice import AnyCompression
from hansa.learning.compression.quantised import Quantised
from hansa.learning.compression.randomk import RandomK
from hansa.learning.compression.sparse_loco import SparseLoco
from hansa.learning.compression.topk import TopK
from hansa.learning.robust.median import Median
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategies.scaffold import Scaffold
from hansa.learning.strategy import LocalTraining
from hansa.model.layout import Layout, Tensor
from hansa.rounds.pipeline import Pipeline

LOCAL = LocalTraining(rate=0.1, batch=8, epochs=1)
LAYOUT = Layout((Tensor("a", (40, 30)), Tensor("b", (50,))))
RANDOM = np.random.Generator(np.random.PCG64(2))
VECTORS = [(0.05 * RANDOM.standard_normal(LAYOUT.size)).astype(np.float32) for _ in range(3)]


def pipeline(compression: AnyCompression | None = None, **declared: object) -> Pipeline:
    given = {"clip": 0.0, "rule": None, **declared}
    return Pipeline.of(FedAvg(LOCAL), LAYOUT, 1.0, 16, compression=compression, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("compression", [None, TopK(8, 128), RandomK(), Quantised(8), Quantised(8, rotated=True), SparseLoco(8, 128)])
def test_the_mean_is_that_of_what_travelled(compression: AnyCompression | None) -> None:
    line = pipeline(compression)
    made = [line.encode(vector, weight, line.initial(), 5) for vector, weight in zip(VECTORS, (1, 2, 5), strict=True)]
    packing = line.packing(5)
    if packing is not None:
        for update, payload, _, _ in made:
            assert payload is not None and len(payload) <= packing.limit
            assert np.array_equal(packing.unpack(payload), update.values)
    aggregate, left_out = line.combine([update for update, *_ in made], 0)
    alone = [line.mean(line.combine([update], 0)[0], 5).values for update, *_ in made]
    expected = (alone[0] * 1 + alone[1] * 2 + alone[2] * 5) / 8
    mean = line.mean(aggregate, 5)
    assert left_out == () and (mean.weight, mean.count) == (8, 3)
    assert np.abs(mean.values - expected).max() < 1e-5
    if compression is None:
        assert np.abs(alone[0] - VECTORS[0]).max() <= line.grid.scales[0]


def test_strategies_have_grids_of_their_own() -> None:
    line = Pipeline.of(Scaffold(LOCAL, clients=3, control=4.0), LAYOUT, 1.0, 16, clip=0.0, compression=None, rule=None)
    assert line.grid.layout.size == 2 * LAYOUT.size and line.grid.scales == (1 / 32767, 1 / 32767, 4 / 32767, 4 / 32767)


def test_a_clipped_vector_keeps_its_direction_and_says_how_long_it_was() -> None:
    line = pipeline(clip=0.5)
    update, _, _, measured = line.encode(VECTORS[0], 1, line.initial(), 5)
    sent = line.mean(line.combine([update], 0)[0], 5).values
    assert abs(float(np.linalg.norm(sent)) - 0.5) < 1e-3 and measured["clip.norm"] > 0.5


def test_a_rule_takes_rows_that_count_the_same() -> None:
    line = pipeline(rule=Median())
    updates = [line.encode(vector, 1, (), 5)[0] for vector in VECTORS]
    middle, _ = line.combine(updates, 0)
    assert np.array_equal(middle.values, np.median([update.values for update in updates], axis=0).astype(np.int64))
    heavy = line.encode(VECTORS[0], 2, (), 5)[0]
    with pytest.raises(ProtocolError, match="max_weight must be 1"):
        line.combine([*updates, heavy], 0)


def test_a_compression_that_does_not_fit_the_layout_is_refused() -> None:
    with pytest.raises(FormatError):
        pipeline(TopK(200, 128))
